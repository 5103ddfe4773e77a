"""The few metrics that stand for a classifier, as statistics for the bootstrap: what subgroups are compared by.

A mean over classes is defined only where every class of the whole data is: else two subgroups would be compared by
means over different classes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shared.evaluation.bootstrap import Statistic
from shared.evaluation.classification import metric_names, weighted_metrics
from shared.evaluation.multi_label import (
    f1_score,
    label_counts,
    sensitivity_score,
    specificity_score,
    weighted_label_auc,
)

__all__ = ["classification_headline", "headline_proportions", "multi_label_headline"]

Floats = NDArray[np.float64]
_SEVERAL = ("macro_f1", "macro_sensitivity", "macro_specificity", "macro_roc_auc")
_TWO = ("accuracy", "sensitivity", "specificity", "roc_auc")
_MORE = ("accuracy", "balanced_accuracy", "macro_f1", "macro_roc_auc")


def classification_headline(classes: Sequence[str], labels: ArrayLike) -> tuple[tuple[str, ...], Statistic]:
    """Return names and statistic of the metrics of a single answer.

    Args:
        classes: the K class names; the second of two is the one to be found.
        labels: true class indices of the whole data ``(N,)``.

    Returns:
        Accuracy, and of two classes sensitivity, specificity and ROC AUC of the second one, of more balanced accuracy,
        macro F1 and macro ROC AUC over the classes that the data have; and
        ``statistic(weights (R, n), labels (n,), predictions (n,), probabilities (n, K))``.
    """
    columns = {name: index for index, name in enumerate(metric_names(classes))}
    present = [classes[index] for index in np.unique(np.asarray(labels))]
    if len(classes) == 2:
        single = [columns[f"{name}_{classes[1]}"] for name in _TWO[1:]]
        names, chosen = _TWO, [[columns["accuracy"]], *([column] for column in single)]
    else:
        means = [[columns[f"{metric}_{name}"] for name in present] for metric in ("sensitivity", "f1", "roc_auc")]
        names, chosen = _MORE, [[columns["accuracy"]], *means]
    indices = [list(classes).index(name) for name in present]

    def statistic(weights: Floats, *arrays: NDArray) -> Floats:
        found = weighted_metrics(weights, *arrays, num_classes=len(classes))
        values = np.stack([found[:, part].mean(axis=1) for part in chosen], axis=1)
        if len(classes) > 2:
            # a class that is called, but not there, has an F1 of 0 by its formula
            there = np.stack([weights[:, arrays[0] == index].sum(axis=1) > 0 for index in indices], axis=1)
            values[~there.all(axis=1), 1:] = np.nan
        return values

    return names, statistic


def headline_proportions(classes: Sequence[str], labels: ArrayLike) -> dict[str, NDArray[np.bool_]]:
    """Return which metrics of :func:`classification_headline` are proportions, with the samples that they are of.

    Args:
        classes: the K class names.
        labels: true class indices ``(N,)``.

    Returns:
        By name, whether each sample is in the denominator ``(N,)``.
    """
    truth = np.asarray(labels)
    every = {"accuracy": np.ones(len(truth), dtype=bool)}
    return every | ({"sensitivity": truth == 1, "specificity": truth == 0} if len(classes) == 2 else {})


def multi_label_headline(labels: ArrayLike) -> tuple[tuple[str, ...], Statistic]:
    """Return names and statistic of the metrics of several labels that do not exclude one another.

    Args:
        labels: of the whole data, ``(N, L)`` with 0, 1, or NaN where unknown.

    Returns:
        Macro F1, sensitivity, specificity and ROC AUC, means over the labels of which the data have positive and
        negative samples; and ``statistic(weights (R, n), labels (n, L), predictions (n, L), scores (n, L))``.
    """
    truth = np.asarray(labels, dtype=np.float64)
    chosen = np.flatnonzero((truth == 1).any(axis=0) & (truth == 0).any(axis=0))

    def statistic(weights: Floats, *arrays: Floats) -> Floats:
        own, predictions, scores = (array[:, chosen] for array in arrays)
        counts = label_counts(weights, own, predictions[None])
        columns = [metric(counts)[:, 0] for metric in (f1_score, sensitivity_score, specificity_score)]
        columns.append(weighted_label_auc(weights, own, scores))
        # without such a label the mean is not defined, and numpy would warn of it
        return np.stack([part.sum(axis=1) / (len(chosen) or np.nan) for part in columns], axis=1)

    return _SEVERAL, statistic
