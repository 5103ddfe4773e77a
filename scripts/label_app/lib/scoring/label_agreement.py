"""How far the models agree with the labels in the datastore."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.tasks.scoring import ScoringMethod

from lib.archives import ArchiveLimits
from lib.errors import RequestError
from lib.infers.bundle_infer import BundleInfer
from lib.labelled import labelled_items

__all__ = ["LabelAgreement"]


class LabelAgreement(ScoringMethod):
    """Judges all labelled images anew and compares, for one model (``model``) or all that have labels.

    Args:
        infers: the models by name.
        limits: of archives.
    """

    def __init__(self, infers: Mapping[str, BundleInfer], limits: ArchiveLimits) -> None:
        super().__init__("agreement of the predictions with the final labels, with 95 % intervals")
        self.infers = infers
        self.limits = limits

    def __call__(self, request: dict[str, Any], datastore: Datastore) -> dict[str, Any]:
        """Return what the worker measured, by model."""
        named = request.get("model")
        if named is not None and named not in self.infers:
            raise RequestError(f"model {named!r}: expected one of {', '.join(self.infers)}", 404)
        result: dict[str, Any] = {}
        for name, infer in self.infers.items():
            if named not in (None, name):
                continue
            with tempfile.TemporaryDirectory(prefix="label-scoring-") as folder:
                try:
                    items = labelled_items(datastore, infer.model, infer.said, Path(folder) / "unpacked", self.limits)
                except RequestError as error:
                    if named is not None:
                        raise
                    result[name] = {"n": 0, "reason": str(error)}
                    continue
                reply = infer.worker.ask("score", items=items, work_dir=folder)
            result[name] = {key: value for key, value in reply.items() if key not in ("id", "ok")}
        return result
