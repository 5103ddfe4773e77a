"""Two models on the same samples: every metric's difference with its paired bootstrap interval.

Both models see the same resamples (:func:`shared.evaluation.bootstrap.bootstrap_difference`), so that what makes a
sample hard for both cancels, and a difference is found that two intervals beside each other would hide.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from shared.evaluation.binary import NAMES, weighted_binary_metrics
from shared.evaluation.bootstrap import Statistic, bootstrap_difference
from shared.evaluation.classification import metric_names, weighted_metrics
from shared.evaluation.multi_label import multilabel_names, weighted_multilabel_metrics
from shared.evaluation.predictions import is_multilabel, prediction_classes

__all__ = ["labelled_rows", "paired_differences", "same_samples"]

Arrays = list[NDArray[Any]]


def labelled_rows(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of a predictions table that have a label, in the order of their ids.

    Returns:
        The rows with the ``id`` as index; none if the table has no labels.
    """
    named = [name for name in table if name == "label" or name.startswith("label_")]
    if not named:
        return table.iloc[:0].set_index("id")
    known = (table["label"] != "") if "label" in named else table[named].notna().any(axis=1)
    return table[known].set_index("id").sort_index()


def same_samples(first: pd.DataFrame, second: pd.DataFrame) -> bool:
    """Tell whether two predictions tables are of the same classes, the same labelled samples and the same labels."""
    if prediction_classes(first) != prediction_classes(second) or is_multilabel(first) != is_multilabel(second):
        return False
    tables = [labelled_rows(table) for table in (first, second)]
    named = [name for name in tables[0] if name == "label" or name.startswith("label_")]
    same = len(tables[0]) > 0 and tables[0].index.equals(tables[1].index) and set(named) <= set(tables[1])
    return same and all(tables[0][name].equals(tables[1][name]) for name in named)


def paired_differences(
    first: pd.DataFrame,
    second: pd.DataFrame,
    group: str | None = None,
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, Mapping[str, Any]]:
    """Return ``second - first`` of every metric of the predictions.

    Args:
        first: a predictions table.
        second: a table of the same samples, see :func:`same_samples`.
        group: column of the table whose values are resampled as wholes; ``None`` to resample single samples.
        resamples: bootstrap resamples.
        seed: of the bootstrap.

    Returns:
        By the name that ``metrics.json`` has, ``{"value", "ci95"}`` as
        :meth:`shared.evaluation.bootstrap.Interval.to_json`; metrics that are not defined are left out.

    Raises:
        ValueError: if the tables are not of the same samples.
    """
    if not same_samples(first, second):
        raise ValueError("the tables are not of the same samples and labels")
    classes, rows = prediction_classes(first), [labelled_rows(table) for table in (first, second)]
    groups = None if group is None else rows[0][group].astype(str).to_numpy()
    found: dict[str, Mapping[str, Any]] = {}
    for names, statistic, arrays in _statistics(rows, classes, is_multilabel(first)):
        interval = bootstrap_difference(statistic, arrays[1], arrays[0], resamples=resamples, seed=seed, groups=groups)
        entries = {name: interval[index] for index, name in enumerate(names)}
        found |= {name: entry.to_json() for name, entry in entries.items() if np.isfinite(entry.value)}
    return found


def _statistics(
    rows: list[pd.DataFrame], classes: list[str], multilabel: bool
) -> list[tuple[list[str], Statistic, list[Arrays]]]:
    """Return names, statistic and the arrays of both models, of each kind of metrics."""
    if multilabel:
        arrays = [
            [_columns(table, prefix, classes) for prefix in ("label", "prediction", "probability")] for table in rows
        ]
        return [(multilabel_names(classes), weighted_multilabel_metrics, arrays)]
    index = {name: place for place, name in enumerate(classes)}
    labels, scores = rows[0]["label"].map(index).to_numpy(), [_columns(table, "probability", classes) for table in rows]

    def classified(weights: NDArray[np.float64], *arrays: NDArray[Any]) -> NDArray[np.float64]:
        return weighted_metrics(weights, *arrays, num_classes=len(classes))

    called = [table["prediction"].map(index).to_numpy() for table in rows]
    single = [[labels, own, score] for own, score in zip(called, scores, strict=True)]
    found: list[tuple[list[str], Statistic, list[Arrays]]] = [(metric_names(classes), classified, single)]
    if len(classes) == 2:
        # accuracy and balanced accuracy are those of any number of classes
        own_names = [name if name not in ("accuracy", "balanced_accuracy") else f"binary_{name}" for name in NAMES]
        binary = [[labels == 1, score[:, 1]] for score in scores]
        found.append((own_names, weighted_binary_metrics, binary))
    return found


def _columns(table: pd.DataFrame, prefix: str, classes: list[str]) -> NDArray[np.float64]:
    return table[[f"{prefix}_{name}" for name in classes]].astype("Float64").to_numpy(dtype=np.float64, na_value=np.nan)
