"""Answers of one bundle: what its worker says, as MONAI Label passes it on."""

from __future__ import annotations

import logging
import re
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from monailabel.interfaces.tasks.infer_v2 import InferTask, InferType

from lib.archives import ArchiveLimits
from lib.bundle_worker import BundleWorker
from lib.errors import RequestError
from lib.inputs import Input, item_of
from lib.parameters import InferParameters
from lib.served_models import ServedModel

__all__ = ["BundleInfer"]

logger = logging.getLogger(__name__)


class BundleInfer(InferTask):
    """Asks a bundle's worker.

    Args:
        model: that answers.
        worker: its process.
        limits: of archives.
        kept: folder in which what was computed of images on the server is kept while it runs.
    """

    def __init__(self, model: ServedModel, worker: BundleWorker, limits: ArchiveLimits, kept: Path) -> None:
        super().__init__(InferType.CLASSIFICATION, None, 2, f"{model.name}: calibrated classification")
        self.model = model
        self.worker = worker
        self.limits = limits
        self.kept = kept
        self._kept_turn = threading.Lock()
        self._said: dict[str, Any] | None = None

    @property
    def said(self) -> dict[str, Any]:
        """What the bundle says of itself; asked once."""
        if self._said is None:
            self.check()
        assert self._said is not None
        return self._said

    def check(self) -> None:
        """Start the worker, make sure that weights and calibration can be used, and learn the classes.

        Raises:
            RequestError: if they cannot be used.
            WorkerError: if the worker does not start.
        """
        self._said = self.worker.ask("check")
        self.labels = {name: index for index, name in enumerate(self._said["classes"])}
        self.description = f"{self._said['bundle']} {self._said['version']}: one {self._said['unit']} at a time"
        self._config = {
            "explain": False,
            "method": list(self._said["methods"]),
            "target_class": list(self._said["classes"]) if self._said["choosable_target"] else [],
            "accepts": self.model.upload_suffixes,
            "attributes": self._said["accepts"]["attributes"],
        }

    def is_valid(self) -> bool:
        """Whether the model can answer."""
        return not self.model.missing()

    def get_path(self, validate: bool = True) -> str | None:
        """Return the file of the weights."""
        return str(self.model.weights) if self.model.weights.is_file() or not validate else None

    def __call__(self, request: dict[str, Any]) -> tuple[str | None, dict[str, Any]]:
        """Answer.

        Args:
            request: ``input`` (:class:`~lib.inputs.Input`), ``parameters``
                (:class:`~lib.parameters.InferParameters`), and ``output``: ``image`` and ``all`` want a file.

        Returns:
            The file that was asked for, in a folder of its own that the caller removes, or None; and the answer.

        Raises:
            RequestError: if the request cannot be answered.
            WorkerError: if the bundle's process failed.
        """
        started = time.monotonic()
        given: Input = request["input"]
        parameters: InferParameters = request["parameters"]
        wants_file = request.get("output") in ("image", "all")
        explain = wants_file if parameters.explain is None else parameters.explain
        if wants_file and not explain:
            raise RequestError('output=image and output=all need an explanation: leave out "explain": false')
        with self._work_dir(given) as work:
            waited = time.monotonic() - started
            asked: dict[str, Any] = {
                "items": [item_of(given, self.model, work / "unpacked", self.limits)],
                "work_dir": str(work),
            }
            if explain:
                asked |= {"method": parameters.method, "target_class": parameters.target_class}
            reply = self.worker.ask("explain" if explain else "infer", **asked)
            if reply["refused"]:
                raise RequestError(f"{given.name}: {next(iter(reply['refused'].values()))}", 422)
            (answer,) = reply["answers"].values()
            file = _chosen_file(answer, parameters.file, given.name) if explain and wants_file else None
        for explanation in answer.get("explanations", []):
            # paths end with the request: what is there can be asked for by its kind
            explanation["files"] = sorted(explanation["files"])
        reply["timings"]["waiting"] = round(reply["timings"]["waiting"] + waited, 3)
        reply["timings"]["total"] = round(time.monotonic() - started, 3)
        said = {
            "image": given.name,
            "unit": self.said["unit"],
            **answer,
            "model": reply["model"],
            "timings": reply["timings"],
            "intended_use": self.said["intended_use"],
        }
        return file, said

    def judge_all(self, inputs: list[Input]) -> tuple[dict[str, Any], dict[str, str]]:
        """Return the answers, and why some images have none, by the images' names; nothing is explained."""
        refused: dict[str, str] = {}
        items, names = [], {}
        with tempfile.TemporaryDirectory(prefix="label-judging-") as folder:
            for given in inputs:
                try:
                    item = item_of(given, self.model, Path(folder) / "unpacked", self.limits)
                except RequestError as error:
                    refused[given.name] = str(error)
                    continue
                items.append(item)
                names[item["key"]] = given.name
            if not items:
                return {}, refused
            reply = self.worker.ask("infer", items=items, work_dir=folder)
        answers = {names[key]: {**answer, "model": reply["model"]} for key, answer in reply["answers"].items()}
        return answers, refused | {names[key]: reason for key, reason in reply["refused"].items()}

    @contextmanager
    def _work_dir(self, given: Input) -> Iterator[Path]:
        """Give a folder: of this request alone, or for an image on the server one that is found again.

        In the latter requests take turns until their file is fetched from it: the next one writes its own there.
        """
        if given.kept and self.model.keeps_output:
            folder = self.kept / self.model.name / given.version()
            folder.mkdir(parents=True, exist_ok=True)
            with self._kept_turn:
                yield folder
            return
        folder = Path(tempfile.mkdtemp(prefix="label-request-"))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _chosen_file(answer: dict[str, Any], kind: str, name: str) -> str:
    """Copy a file of the first explanation to a folder of its own."""
    explanation = answer["explanations"][0]
    files = explanation["files"]
    if kind not in files:
        raise RequestError(f"file {kind!r}: this explanation has {', '.join(sorted(files))}")
    source = Path(files[kind])
    readable = re.sub(r"[^A-Za-z0-9_-]+", "_", f"{name}_{explanation['target_class']}_{source.name.partition('.')[0]}")
    target = Path(tempfile.mkdtemp(prefix="label-answer-")) / f"{readable[:150]}{''.join(source.suffixes)}"
    shutil.copy2(source, target)
    return str(target)
