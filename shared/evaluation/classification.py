"""Metrics of single-label classification with bootstrap intervals.

Values are scikit-learn's. Intervals come from the same quantities written on weighted confusion matrices, for all
resamples at once. What is not defined on the data at hand (the sensitivity for a class without samples) is NaN and
stays out of macro averages; it is never counted as 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn import metrics as sklearn_metrics

from shared.evaluation.bootstrap import bootstrap_interval
from shared.evaluation.proportion_entry import interval_entries

__all__ = ["classification_metrics", "metric_names", "weighted_confusion", "weighted_metrics", "weighted_roc_auc"]

Floats = NDArray[np.float64]
PER_CLASS = ("f1", "sensitivity", "specificity", "precision")


def classification_metrics(
    labels: ArrayLike,
    predictions: ArrayLike,
    classes: Sequence[str],
    probabilities: ArrayLike | None = None,
    *,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
    strata: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    unit: str | None = None,
) -> dict[str, dict[str, Any]]:
    """Measure a classifier.

    Args:
        labels: true class indices ``(N,)``.
        predictions: predicted class indices ``(N,)``.
        classes: the K class names.
        probabilities: class probabilities ``(N, K)``; without them there is no ROC AUC.
        resamples: number of bootstrap resamples.
        level: nominal coverage of the intervals.
        seed: seed of the bootstrap.
        strata: see :func:`shared.evaluation.bootstrap.bootstrap_weights`.
        groups: see :func:`shared.evaluation.bootstrap.bootstrap_weights`.
        unit: what ``groups`` are, ``patient`` for instance, for proportions on which all resamples agree, see
            :func:`shared.evaluation.proportion_entry.proportion_entry`.

    Returns:
        ``{name: {"value": …, "ci95": [low, high]}}`` with the names of :func:`metric_names`; ``ci95`` is None, with a
        ``reason``, where the bootstrap gives no interval (:func:`shared.evaluation.bootstrap.interval_entry`).

    Raises:
        ValueError: if shapes do not match, there are no samples, or an index is no class.
    """
    k = len(classes)
    truth, predicted, scores = _checked(labels, predictions, probabilities, k)

    def statistic(weights: Floats, *arrays: np.ndarray) -> Floats:
        return weighted_metrics(weights, *arrays, num_classes=k)

    arrays = [truth, predicted] if scores is None else [truth, predicted, scores]
    interval = bootstrap_interval(
        statistic, arrays, resamples=resamples, level=level, seed=seed, strata=strata, groups=groups
    )
    interval = replace(interval, value=_sklearn_values(truth, predicted, scores, k))
    counted = {"accuracy": np.ones(len(truth), dtype=bool)}
    for index, name in enumerate(classes):
        counted |= {
            f"sensitivity_{name}": truth == index,
            f"specificity_{name}": truth != index,
            f"precision_{name}": predicted == index,
        }
    return interval_entries(interval, metric_names(classes, scores is not None), counted, groups, unit)


def metric_names(classes: Sequence[str], with_roc_auc: bool = True) -> list[str]:
    """Return the names of the metrics in the order of :func:`weighted_metrics`.

    These are ``accuracy``, ``balanced_accuracy`` (mean sensitivity), ``macro_f1``, then ``f1_<class>``,
    ``sensitivity_<class>``, ``specificity_<class>``, ``precision_<class>`` for each class, then ``macro_roc_auc`` and
    ``roc_auc_<class>`` (one class against the rest).
    """
    names = ["accuracy", "balanced_accuracy", "macro_f1"]
    names += [f"{metric}_{name}" for metric in PER_CLASS for name in classes]
    if with_roc_auc:
        names += ["macro_roc_auc", *(f"roc_auc_{name}" for name in classes)]
    return names


def weighted_confusion(
    weights: Floats, labels: NDArray[np.intp], predictions: NDArray[np.intp], num_classes: int
) -> Floats:
    """Return the confusion matrix of each row of weights ``(R, N)``: ``(R, K, K)``, truth by prediction."""
    cells = np.zeros((len(labels), num_classes**2))
    cells[np.arange(len(labels)), labels * num_classes + predictions] = 1.0
    return (weights @ cells).reshape(-1, num_classes, num_classes)


def weighted_metrics(
    weights: Floats,
    labels: NDArray[np.intp],
    predictions: NDArray[np.intp],
    probabilities: Floats | None = None,
    *,
    num_classes: int,
) -> Floats:
    """Return all metrics for each row of weights, a statistic for the bootstrap.

    With true positives TP, false positives FP, false negatives FN and true negatives TN of a class: F1 = 2 TP /
    (2 TP + FP + FN), sensitivity = TP / (TP + FN), specificity = TN / (TN + FP), precision = TP / (TP + FP).

    Args:
        weights: ``(R, N)``.
        labels: true class indices ``(N,)``.
        predictions: predicted class indices ``(N,)``.
        probabilities: ``(N, K)``, for the ROC AUC.
        num_classes: K.

    Returns:
        ``(R, M)`` in the order of :func:`metric_names`; NaN where a metric is not defined.
    """
    confusion = weighted_confusion(weights, labels, predictions, num_classes)  # (R, K, K)
    total = confusion.sum(axis=(1, 2))[:, None]
    positives, predicted = confusion.sum(axis=2), confusion.sum(axis=1)  # (R, K)
    hits = np.diagonal(confusion, axis1=1, axis2=2)
    sensitivity = _ratio(hits, positives)
    f1 = _ratio(2 * hits, positives + predicted)
    specificity = _ratio(total - positives - predicted + hits, total - positives)
    columns = [
        _ratio(hits.sum(axis=1, keepdims=True), total),
        _mean_of_defined(sensitivity),
        _mean_of_defined(f1),
        f1,
        sensitivity,
        specificity,
        _ratio(hits, predicted),
    ]
    if probabilities is not None:
        areas = [weighted_roc_auc(weights, probabilities[:, c], labels == c) for c in range(num_classes)]
        roc_auc = np.stack(areas, axis=1)
        columns += [_mean_of_defined(roc_auc), roc_auc]
    return np.concatenate(columns, axis=1)


def weighted_roc_auc(weights: Floats, scores: Floats, positive: NDArray[np.bool_]) -> Floats:
    """Return the area under the ROC curve of each row of weights.

    AUC = Σ₊ w₊ (W₋(below) + ½ W₋(equal)) / (W₊ W₋): the probability that a positive sample scores higher than a
    negative one, ties counted half.

    Args:
        weights: ``(R, N)``.
        scores: ``(N,)``, larger for positive samples.
        positive: ``(N,)``.

    Returns:
        ``(R,)``, NaN for rows without a positive or without a negative sample.
    """
    order = np.argsort(scores, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(scores[order]) != 0])
    ordered, flags = weights[:, order], positive[order]
    positives = np.add.reduceat(ordered * flags, starts, axis=1)  # (R, distinct scores)
    negatives = np.add.reduceat(ordered * ~flags, starts, axis=1)
    below = np.cumsum(negatives, axis=1) - negatives / 2
    wins = np.einsum("rs,rs->r", positives, below)
    return _ratio(wins, positives.sum(axis=1) * negatives.sum(axis=1))


def _ratio(numerator: Floats, denominator: Floats) -> Floats:
    """Divide; 0 / 0 is NaN without a warning."""
    return np.divide(numerator, denominator, out=np.full(denominator.shape, np.nan), where=denominator > 0)


def _mean_of_defined(values: Floats) -> Floats:
    """Return the mean over classes that are not NaN: ``(R, K)`` to ``(R, 1)``."""
    defined = ~np.isnan(values)
    return _ratio(np.where(defined, values, 0.0).sum(axis=1, keepdims=True), defined.sum(axis=1, keepdims=True))


def _sklearn_values(
    labels: NDArray[np.intp], predictions: NDArray[np.intp], probabilities: Floats | None, num_classes: int
) -> Floats:
    """Return the metrics of the data by scikit-learn, in the order of :func:`metric_names`."""
    precision, sensitivity, f1, _ = sklearn_metrics.precision_recall_fscore_support(
        labels, predictions, labels=range(num_classes), zero_division=np.nan
    )
    tables = sklearn_metrics.multilabel_confusion_matrix(labels, predictions, labels=range(num_classes))
    specificity = _ratio(tables[:, 0, 0].astype(float), tables[:, 0].sum(axis=1).astype(float))
    values = [sklearn_metrics.accuracy_score(labels, predictions), np.nanmean(sensitivity), np.nanmean(f1)]
    values += [*f1, *sensitivity, *specificity, *precision]
    if probabilities is not None:
        areas = [
            sklearn_metrics.roc_auc_score(labels == c, probabilities[:, c])
            if 0 < np.sum(labels == c) < len(labels)
            else np.nan
            for c in range(num_classes)
        ]
        values += [np.nanmean(areas) if not np.all(np.isnan(areas)) else np.nan, *areas]
    return np.asarray(values, dtype=np.float64)


def _checked(
    labels: ArrayLike, predictions: ArrayLike, probabilities: ArrayLike | None, num_classes: int
) -> tuple[NDArray[np.intp], NDArray[np.intp], Floats | None]:
    indices = []
    for name, values in (("labels", labels), ("predictions", predictions)):
        array = np.asarray(values)
        if array.ndim != 1 or not np.issubdtype(array.dtype, np.integer):
            raise ValueError(f"{name} must be class indices (N,), found shape {array.shape} of {array.dtype}")
        if array.size == 0 or array.min() < 0 or array.max() >= num_classes:
            found = f"{array.min()} to {array.max()}" if array.size else "none"
            raise ValueError(f"{name} must be class indices from 0 to {num_classes - 1}, found {found}")
        indices.append(array.astype(np.intp))
    if len(indices[0]) != len(indices[1]):
        raise ValueError(f"found {len(indices[0])} labels and {len(indices[1])} predictions; they must be as many")
    if probabilities is None:
        return indices[0], indices[1], None
    scores = np.asarray(probabilities, dtype=np.float64)
    if scores.shape != (len(indices[0]), num_classes) or not np.all(np.isfinite(scores)):
        raise ValueError(
            f"probabilities must be finite and of shape {(len(indices[0]), num_classes)}, found shape {scores.shape} "
            f"with {int(np.sum(~np.isfinite(scores)))} values that are not finite"
        )
    return indices[0], indices[1], scores
