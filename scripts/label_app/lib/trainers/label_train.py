"""Training of one bundle on the labels in the datastore."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.tasks.train import TrainTask

from lib.archives import ArchiveLimits
from lib.bundle_worker import BundleWorker
from lib.errors import RequestError
from lib.infers.bundle_infer import BundleInfer
from lib.labelled import labelled_items

__all__ = ["LabelTrain"]

SETTINGS = ("max_epochs", "seed", "from_scratch")


class LabelTrain(TrainTask):
    """Trains a bundle in a worker of its own, so that the one that answers goes on answering.

    Args:
        infer: of the same bundle.
        limits: of archives.
        patience: seconds without a line of progress after which a training is given up.
    """

    def __init__(self, infer: BundleInfer, limits: ArchiveLimits, patience: float = 6 * 3600) -> None:
        super().__init__(f"{infer.model.name}: training on the labels in the datastore")
        self.infer = infer
        self.limits = limits
        self.patience = patience

    def config(self) -> dict[str, Any]:
        """Return the settings of a request."""
        return {"max_epochs": 10, "seed": 0, "from_scratch": False}

    def stats(self) -> dict[str, Any]:
        """Return what the served weights were trained on, if that was labels."""
        record = self.infer.model.weights.with_name("trained_on_labels.json")
        if not record.is_file():
            return {}
        content: dict[str, Any] = json.loads(record.read_text(encoding="utf-8"))
        return {key: value for key, value in content.items() if key not in ("training", "validation")}

    def __call__(self, request: dict[str, Any], datastore: Datastore) -> dict[str, Any]:
        """Train, calibrate and serve.

        Args:
            request: ``max_epochs``, ``seed`` and ``from_scratch``.
            datastore: with labels.

        Raises:
            RequestError: if there are no labels of this bundle, or too few for the new model to be served.
        """
        settings = {key: request[key] for key in SETTINGS if key in request}
        settings.setdefault("max_epochs", self.config()["max_epochs"])
        asked = self.infer.worker
        worker = BundleWorker(asked.bundle, asked.python, asked.repository, asked.timeout)
        try:
            with tempfile.TemporaryDirectory(prefix="label-training-") as folder:
                said = worker.ask("check")
                items = labelled_items(datastore, self.infer.model, said, Path(folder) / "unpacked", self.limits)
                result = worker.ask(
                    "train",
                    progress=lambda line: print(line, flush=True),
                    timeout=self.patience,
                    items=items,
                    work_dir=folder,
                    **settings,
                )
        finally:
            worker.close()
        if not result["served"]:
            raise RequestError(
                f"{self.infer.model.name}: trained, but the model that was there is still served: {result['reason']}",
                422,
            )
        return {key: value for key, value in result.items() if key not in ("id", "ok")}
