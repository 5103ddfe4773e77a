"""What a report is made from: the files of an ``eval`` folder and of the bundle that it belongs to."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from shared.data.errors import DataError
from shared.data.files import read_json
from shared.evaluation.interpretability.file import FILE as INTERPRETABILITY
from shared.evaluation.interpretability.file import read_interpretability
from shared.evaluation.metrics_file import read_metrics
from shared.evaluation.predictions import is_multilabel, prediction_classes, read_predictions
from shared.report.card.undecided import undecided_titles
from shared.report.measures import read_table
from shared.report.recorded_weights import calibration_mismatch, find_calibration

__all__ = ["FAILED_MARK", "UNDECIDED", "Sources", "find_folders", "read_sources"]

METADATA = Path("configs/metadata.json")
#: of a method that failed a sanity check: a warning sign, as text and not as a picture
FAILED_MARK = "\u26a0\ufe0e"
#: of a method that a sanity check neither passed nor failed
UNDECIDED = "undecided"


@dataclass(frozen=True)
class Sources:
    """The parsed files; ``None`` for one that does not exist.

    Attributes:
        eval_dir: the folder with ``metrics.json``, ``predictions.csv`` and ``explanations/index.json``.
        bundle_root: the bundle, if known.
        files: path of every file that was read, by its usual name.
        repeatability: agreement between sets of instances, of models that judge bags.
        interpretability: rows of the five elements of interpretability, and what describes the methods.
        left_out: why the calibration file is left out: it belongs to another model.
    """

    eval_dir: Path
    bundle_root: Path | None
    files: Mapping[str, Path]
    metrics: Mapping[str, Any] | None
    predictions: pd.DataFrame | None
    explanations: Mapping[str, Any] | None
    calibration: Mapping[str, Any] | None
    metadata: Mapping[str, Any] | None
    left_out: str | None = None
    repeatability: Mapping[str, Any] | None = None
    interpretability: Mapping[str, Any] | None = None

    @property
    def bundle(self) -> str:
        """Name of the bundle."""
        if self.bundle_root is not None:
            return self.bundle_root.name
        return str((self.metrics or {}).get("bundle") or "<bundle>")

    @property
    def classes(self) -> list[str]:
        """Classes in their order, from the metrics, else the columns ``probability_<class>``, else the calibration."""
        named = (self.metrics or {}).get("classes")
        if named is not None:
            if not isinstance(named, list):
                raise DataError(f"{self.files['metrics.json']}: classes: found {named!r}, expected a list of names")
            return [str(name) for name in named]
        if self.predictions is not None:
            return prediction_classes(self.predictions)
        return [str(name) for name in (self.calibration or {}).get("classes") or []]

    def method_title(self, name: str) -> str:
        """Name of an explanation method for readers: the index's title of it, or its key in words."""
        methods = (self.explanations or {}).get("methods")
        entry = methods.get(name) if isinstance(methods, Mapping) else None
        words = name.replace("_", " ")
        return str((entry.get("title") if isinstance(entry, Mapping) else None) or words[:1].upper() + words[1:])

    def failed_checks(self, name: str) -> list[str]:
        """Sanity checks that an explanation method failed, in sentences; none for one that was not checked.

        Controls are there to fail, and are not marked for it.
        """
        methods = (self.interpretability or {}).get("methods") or {}
        where = f"{self.files.get(INTERPRETABILITY)}: methods.{name}"
        entry = read_table(methods.get(name) or {}, where)
        return [] if entry.get("control") else [str(sentence) for sentence in entry.get("failed") or ()]

    def undecided_checks(self, name: str) -> list[str]:
        """Titles of the sanity checks that an explanation method neither passed nor failed; none of a control.

        A method that failed one is failed, whatever the others say.
        """
        content = self.interpretability or {}
        entry = (content.get("methods") or {}).get(name) or {}
        if self.failed_checks(name) or (isinstance(entry, Mapping) and entry.get("control")):
            return []
        return list(undecided_titles(content.get("rows") or (), name))

    def marked_title(self, name: str) -> str:
        """Name of an explanation method for readers, marked if a sanity check was failed, or decided nothing."""
        title = self.method_title(name)
        if self.failed_checks(name):
            return f"{title} {FAILED_MARK}"
        return f"{title} ({UNDECIDED})" if self.undecided_checks(name) else title

    def measured(self, key: str) -> tuple[Mapping[str, Any], str]:
        """Return one object of the metrics file, empty if absent, and its place for messages."""
        where = f"{self.files.get('metrics.json')}: {key}"
        return read_table((self.metrics or {}).get(key) or {}, where), where

    def fitted(self, key: str) -> tuple[Mapping[str, Any], str]:
        """Return one object of the calibration file, empty if absent, and its place for messages."""
        where = f"{self.files.get('calibration.json')}: {key}"
        return read_table((self.calibration or {}).get(key) or {}, where), where

    def tasks(self) -> dict[str, pd.DataFrame]:
        """Split the predictions into questions with one answer each.

        A single-label file is one task named ``""``; a multi-label file (columns ``decision_<class>``) is one task per
        class. Each frame has the columns ``id, label, prediction, confidence, decision, reason, kind``; ``label`` is
        ``""`` where it is unknown, ``kind`` is ``""`` for all but outliers.
        """
        frame = self.predictions
        if frame is None:
            return {}
        if not is_multilabel(frame):
            return {"": _task(frame, "")}
        return {name: _task(frame, f"_{name}") for name in prediction_classes(frame)}


def _task(frame: pd.DataFrame, suffix: str) -> pd.DataFrame:
    names = {
        "label": f"label{suffix}",
        "prediction": f"prediction{suffix}",
        "confidence": f"confidence{suffix}",
        "decision": f"decision{suffix}",
        # several labels may have reasons of their own, beside the one of the whole row
        "reason": f"reason{suffix}" if f"reason{suffix}" in frame else "reason",
        "kind": "kind",
    }
    columns = {name: frame.get(source, "") for name, source in names.items()}
    task = pd.DataFrame({"id": frame["id"]} | columns)
    for name in ("label", "prediction"):
        task[name] = task[name].astype("string").fillna("")
    return task


def find_folders(path: str | os.PathLike[str]) -> tuple[Path, Path | None]:
    """Find evaluation folder and bundle from the path of either.

    Returns:
        ``(eval_dir, bundle_root)``; the second is ``None`` for a folder that lies in no bundle.

    Raises:
        DataError: if ``path`` is no folder.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise DataError(
            f"{folder}: no such folder; give the name of a bundle, its folder (bundles/<name>) or its eval folder"
        )
    if (folder / METADATA).is_file() or (folder / "eval").is_dir():
        return folder / "eval", folder
    parent = folder.resolve().parent
    return folder, parent if (parent / METADATA).is_file() else None


def read_sources(
    eval_dir: str | os.PathLike[str],
    bundle_root: str | os.PathLike[str] | None = None,
    calibration_file: str | os.PathLike[str] | None = None,
) -> Sources:
    """Read whatever is present, but for a calibration that the results were not made with.

    Args:
        eval_dir: folder written by evaluating and explaining.
        bundle_root: bundle with ``configs/metadata.json`` and ``models/calibration.json``; without it, the folder
            above ``eval_dir`` if that is a bundle.
        calibration_file: the calibration; by default the one that the results name, if it is where they say or beside
            ``eval_dir``, else the bundle's.

    Raises:
        DataError: if neither metrics, predictions nor explanations exist, if a calibration file is named that does not
            exist, or if a file is malformed.
    """
    folder = Path(eval_dir)
    root = Path(bundle_root) if bundle_root is not None else None
    if root is None and folder.is_dir():
        root = find_folders(folder)[1]
    places = {
        "metrics.json": folder / "metrics.json",
        "predictions.csv": folder / "predictions.csv",
        "explanations/index.json": folder / "explanations" / "index.json",
        "repeatability.json": folder / "repeatability.json",
        INTERPRETABILITY: folder / INTERPRETABILITY,
    }
    if not any(path.is_file() for path in places.values()):
        raise DataError(
            f"{folder}: nothing to report; expected at least one of {', '.join(places)}; "
            "run evaluating or explaining first"
        )
    if root is not None:
        places |= {"calibration.json": root / "models" / "calibration.json", "metadata.json": root / METADATA}
    if calibration_file is not None:
        places["calibration.json"] = Path(calibration_file)
        if not places["calibration.json"].is_file():
            raise DataError(f"{calibration_file}: no such file; run calibrating, or name no calibration file")
    files = {name: path for name, path in places.items() if path.is_file()}

    def table(name: str) -> Mapping[str, Any] | None:
        return read_table(read_json(files[name]), str(files[name])) if name in files else None

    metrics = read_metrics(files["metrics.json"]) if "metrics.json" in files else None
    explanations = table("explanations/index.json")
    if calibration_file is None and (named := find_calibration(folder, (metrics, explanations))):
        files["calibration.json"] = named
    calibration = table("calibration.json")
    left_out = None
    if calibration is not None:
        results = {"metrics.json": metrics, "explanations/index.json": explanations}
        left_out = calibration_mismatch(calibration, files["calibration.json"], results)
        if left_out:
            del files["calibration.json"]
            calibration = None
    return Sources(
        eval_dir=folder,
        bundle_root=None if root is None else root.resolve(),
        files=files,
        metrics=metrics,
        predictions=read_predictions(files["predictions.csv"]) if "predictions.csv" in files else None,
        explanations=explanations,
        calibration=calibration,
        metadata=table("metadata.json"),
        left_out=left_out,
        repeatability=table("repeatability.json"),
        interpretability=read_interpretability(files[INTERPRETABILITY]) if INTERPRETABILITY in files else None,
    )
