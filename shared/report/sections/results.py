"""The head of the page: what the model is for, its metrics and its confusion matrix."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from shared.data.errors import DataError
from shared.report.figures import (
    confusion_figure,
)
from shared.report.measures import Estimate, read_estimates, read_table
from shared.report.recorded_weights import recorded_files
from shared.report.sections.resampling import resampling_of
from shared.report.sources import Sources
from shared.report.wording import HEADLINE, HEADLINE_OF_TWO

__all__ = ["confusion_section", "headline_section", "purpose_section"]


def purpose_section(sources: Sources) -> dict[str, Any]:
    """What the model is for and not for, as ``configs/metadata.json`` says, and what data were evaluated."""
    metadata = sources.metadata or {}
    limits = metadata.get("limits") or []
    if not isinstance(limits, str | list):
        raise DataError(
            f"{sources.files['metadata.json']}: limits: found {limits!r}, expected a text or a list of texts"
        )
    recorded = (sources.metrics or {}).get("provenance")
    return {
        "evaluated": recorded_files(recorded, "data"),
        "title": str(metadata.get("name") or sources.bundle),
        "version": metadata.get("version"),
        "task": metadata.get("task"),
        "description": metadata.get("description"),
        "data_source": metadata.get("data_source"),
        "intended_use": metadata.get("intended_use"),
        "limits": [limits] if isinstance(limits, str) else [str(limit) for limit in limits],
    }


def headline_section(sources: Sources) -> dict[str, Any]:
    """Metrics: the few that stand at the top, those of the whole, and those of each class side by side."""
    table, where = sources.measured("metrics")
    named = {estimate.name: estimate for estimate in read_estimates(table, where)}
    of_class: dict[str, dict[str, Estimate]] = {}
    for label in sources.classes:
        for name in [name for name in named if name.endswith(f"_{label}")]:
            of_class.setdefault(name.removesuffix(f"_{label}"), {})[label] = named.pop(name)
    metrics = sources.metrics or {}
    if "positive_class" in metrics:
        top = [named[name] for name in HEADLINE_OF_TWO if name in named]
        # of two classes, the mean of both ROC AUCs is the ROC AUC
        named.pop("macro_roc_auc", None)
        of_class.pop("roc_auc", None)
    else:
        top = [named[name] for name in HEADLINE if name in named][:3]
    return {
        "top": top or list(named.values())[:3],
        "positive": metrics.get("positive_class"),
        "all": list(named.values()),
        "classes": sources.classes if of_class else [],
        "of_class": of_class,
        "n": metrics.get("n"),
        "split": metrics.get("split"),
        "resampled": resampling_of(sources.metrics),
        "other_settings": _other_settings(sources),
    }


def _other_settings(sources: Sources) -> list[tuple[str, Any, Any]]:
    """Return the settings of the network that are not the bundle's own: name, value, the bundle's value."""
    model, where = sources.measured("model")
    found = read_table(model.get("settings") or {}, f"{where}.settings")
    own = read_table(model.get("default") or {}, f"{where}.default")
    return [(str(key), value, own[key]) for key, value in found.items() if key in own and value != own[key]]


def confusion_section(sources: Sources) -> list[dict[str, Any]]:
    """Confusion matrices: the one in the metrics, or for several labels one each, counted in the predictions."""
    matrix = (sources.metrics or {}).get("confusion_matrix")
    if matrix is not None:
        tables = {"": (np.array(matrix, dtype=np.int64), sources.classes)}
    else:
        tasks = {task: frame for task, frame in sources.tasks().items() if task}
        tables = {
            task: (np.array([[_count(frame, a, b) for b in "01"] for a in "01"]), ["absent", "present"])
            for task, frame in tasks.items()
            if (frame["label"] != "").any()
        }
    return [
        {"task": task, "classes": names, "counts": counts.tolist(), "figure": confusion_figure(counts, names, f"cm{i}")}
        for i, (task, (counts, names)) in enumerate(tables.items())
    ]


def _count(task: pd.DataFrame, label: str, prediction: str) -> int:
    return int(((task["label"] == label) & (task["prediction"] == prediction)).sum())
