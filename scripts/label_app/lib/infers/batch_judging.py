"""Judging many images of the datastore, and keeping what was said as labels that are not final."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from monailabel.interfaces.datastore import Datastore, DefaultLabelTag
from monailabel.interfaces.tasks.batch_infer import BatchInferTask

from lib.errors import RequestError
from lib.infers.bundle_infer import BundleInfer
from lib.labelled import datastore_input
from lib.names import check_tag

__all__ = ["BatchJudging"]


class BatchJudging(BatchInferTask):
    """Asks a worker for all images at once: the bundle reads them as one data set.

    Args:
        infers: the models by name.
    """

    def __init__(self, infers: Mapping[str, BundleInfer]) -> None:
        self.infers = infers

    def __call__(
        self, request: dict[str, Any], datastore: Datastore, _: Callable[..., Any] | None = None
    ) -> dict[str, Any]:
        """Judge images.

        Args:
            request: ``model``; ``images`` (``all``, ``labeled``, ``unlabeled`` or a list of names); ``max_batch_size``,
                the greatest number of images; ``save_label`` (by default yes) and ``label_tag`` (``original``).
            datastore: that has the images.

        Returns:
            The answer, or ``refused`` with the reason, by the image's name.

        Raises:
            RequestError: if there is no such model or image, or predictions are to be final labels.
        """
        model = str(request.get("model"))
        if model not in self.infers:
            raise RequestError(f"model {model[:100]!r}: expected one of {', '.join(self.infers)}", 404)
        tag = check_tag(str(request.get("label_tag") or DefaultLabelTag.ORIGINAL.value))
        if tag == DefaultLabelTag.FINAL.value:
            raise RequestError("label_tag: a prediction is no final label")
        infer = self.infers[model]
        found = [datastore_input(datastore, str(name)) for name in sorted(self.get_images(request, datastore))]
        inputs = [given for given in found if given.source.suffix.lower() in infer.model.upload_suffixes]
        if most := request.get("max_batch_size"):
            inputs = inputs[:most]
        answers, refused = infer.judge_all(inputs)
        if request.get("save_label", True) is True:
            for name, answer in answers.items():
                _save(datastore, name, tag, model, answer)
        return {**answers, **{name: {"refused": reason} for name, reason in refused.items()}}


def _save(datastore: Datastore, image: str, tag: str, model: str, answer: Mapping[str, Any]) -> None:
    with tempfile.TemporaryDirectory(prefix="label-prediction-") as folder:
        place = Path(folder) / "prediction.json"
        said = {"label": answer["prediction"], "model": model, "confidence": answer["confidence"]}
        place.write_text(json.dumps(said), encoding="utf-8")
        datastore.save_label(image, str(place), tag, {"model": model, "weights": answer["model"]})
