"""Metrics of labels that do not exclude one another and may be unknown, for all bootstrap resamples at once.

A label that is unknown in a sample (NaN) counts neither for nor against: the sample is left out for that label alone.
Everything is computed from four sums per label, so that any number of methods that are measured on the same samples
costs one matrix product.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shared.evaluation.bootstrap import bootstrap_interval
from shared.evaluation.classification import weighted_roc_auc
from shared.evaluation.proportion_entry import interval_entries

__all__ = [
    "PER_LABEL",
    "LabelCounts",
    "f1_score",
    "label_counts",
    "mean_of_defined",
    "multilabel_metrics",
    "multilabel_names",
    "sensitivity_score",
    "specificity_score",
    "validated_label_arrays",
    "weighted_label_auc",
    "weighted_multilabel_metrics",
]

Floats = NDArray[np.float64]
PER_LABEL = ("f1", "sensitivity", "specificity", "roc_auc")


class LabelCounts(NamedTuple):
    """Weighted counts per label, over the samples in which the label is known.

    Attributes:
        hits: positive and called positive, ``(…, L)``.
        called: called positive, same shape.
        positive: positive, a shape that broadcasts against the two.
        known: all, likewise.
    """

    hits: Floats
    called: Floats
    positive: Floats
    known: Floats


def label_counts(weights: Floats, labels: Floats, predictions: Floats) -> LabelCounts:
    """Count hits and calls for each row of weights and each of M methods.

    Args:
        weights: ``(R, N)``.
        labels: ``(N, L)`` with 0, 1, or NaN where unknown.
        predictions: ``(M, N, L)`` in [0, 1]; a number between is the share of an undecided call, so that calls drawn
            at random are counted in expectation.

    Returns:
        ``hits`` and ``called`` ``(R, M, L)``, ``positive`` and ``known`` ``(R, 1, L)``.
    """
    methods, n, width = predictions.shape
    known = ~np.isnan(labels)
    truth = np.where(known, labels, 0.0)
    # (2 M + 2, N, L): one matrix product for all
    cells = np.concatenate([predictions * truth, predictions * known, truth[None], known[None].astype(np.float64)])
    sums = (weights @ cells.transpose(1, 0, 2).reshape(n, -1)).reshape(len(weights), 2 * methods + 2, width)
    return LabelCounts(sums[:, :methods], sums[:, methods:-2], sums[:, -2:-1], sums[:, -1:])


def f1_score(counts: LabelCounts) -> Floats:
    """Return F1 = 2 TP / (2 TP + FP + FN) ``(…, L)``; NaN where no sample is positive, whatever is called.

    Without a positive there is nothing to find. F1 would be 0 for every method that calls anything, and undefined for
    one that does not: a mean over labels would then compare means over different labels.
    """
    return _ratio(2 * counts.hits, counts.positive + counts.called, counts.positive > 0)


def sensitivity_score(counts: LabelCounts) -> Floats:
    """Return TP / (TP + FN) ``(…, L)``; NaN where no sample is positive."""
    return _ratio(counts.hits, counts.positive, counts.positive > 0)


def specificity_score(counts: LabelCounts) -> Floats:
    """Return TN / (TN + FP) ``(…, L)``; NaN where no sample is negative."""
    negative = counts.known - counts.positive
    return _ratio(negative - counts.called + counts.hits, negative, negative > 0)


def weighted_label_auc(weights: Floats, labels: Floats, scores: Floats) -> Floats:
    """Return the area under the ROC curve of each label for each row of weights.

    Args:
        weights: ``(R, N)``.
        labels: ``(N, L)`` with 0, 1, or NaN where unknown.
        scores: ``(N, L)``, larger where the label is more likely.

    Returns:
        ``(R, L)``; NaN where a resample has no positive or no negative sample.
    """
    columns = []
    for label, score in zip(labels.T, scores.T, strict=True):
        known = ~np.isnan(label)
        part = weights if known.all() else weights[:, known]
        columns.append(weighted_roc_auc(part, score[known], label[known] == 1))
    return np.stack(columns, axis=1)


def mean_of_defined(values: Floats) -> Floats:
    """Return the mean over the labels that are not NaN: ``(…, L)`` to ``(…,)``; NaN where none is defined."""
    defined = ~np.isnan(values)
    count = defined.sum(axis=-1)
    return _ratio(np.where(defined, values, 0.0).sum(axis=-1), count.astype(np.float64), count > 0)


def multilabel_metrics(
    labels: ArrayLike,
    predictions: ArrayLike,
    scores: ArrayLike,
    classes: Sequence[str],
    *,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
    groups: ArrayLike | None = None,
    unit: str | None = None,
) -> dict[str, dict[str, Any]]:
    """Measure predictions of several labels, with percentile bootstrap intervals.

    Args:
        labels: ``(N, L)`` with 0, 1, or NaN where unknown.
        predictions: 0 or 1, ``(N, L)``.
        scores: larger where the label is more likely, ``(N, L)``.
        classes: names of the L labels.
        resamples: number of bootstrap resamples.
        level: nominal coverage of the intervals.
        seed: seed of the bootstrap.
        groups: patient of each sample ``(N,)``; whole patients are then drawn.
        unit: what ``groups`` are, ``patient`` for instance, for proportions on which all resamples agree, see
            :func:`shared.evaluation.proportion_entry.proportion_entry`.

    Returns:
        ``{name: {"value", "ci95"}}`` for ``macro_f1``, ``f1_<class>``…, and likewise ``sensitivity``, ``specificity``
        and ``roc_auc``; the means are over the labels in which the metric is defined.

    Raises:
        ValueError: if shapes do not fit or a value is not allowed.
    """
    truth, called, values = validated_label_arrays(labels, predictions, scores, classes)
    interval = bootstrap_interval(
        weighted_multilabel_metrics, [truth, called, values], resamples=resamples, level=level, seed=seed, groups=groups
    )
    counted = {
        f"{metric}_{name}": truth[:, index] == label
        for metric, label in (("sensitivity", 1), ("specificity", 0))
        for index, name in enumerate(classes)
    }
    return interval_entries(interval, multilabel_names(classes), counted, groups, unit)


def multilabel_names(classes: Sequence[str]) -> list[str]:
    """Return the names of the metrics in the order of :func:`weighted_multilabel_metrics`."""
    return [f"{metric}_{name}" if name else f"macro_{metric}" for metric in PER_LABEL for name in ("", *classes)]


def weighted_multilabel_metrics(weights: Floats, *arrays: Floats) -> Floats:
    """Return the metrics for each row of weights, a statistic for the bootstrap.

    Args:
        weights: ``(R, N)``.
        *arrays: labels with 0, 1 or NaN, predictions and scores, ``(N, L)`` each.

    Returns:
        ``(R, 4 (1 + L))`` in the order of :func:`multilabel_names`; NaN where a metric is not defined.
    """
    labels, predictions, scores = arrays
    counts = label_counts(weights, labels, predictions[None])
    columns = []
    for metric in (f1_score, sensitivity_score, specificity_score):
        per_label = metric(counts)[:, 0]
        columns += [mean_of_defined(per_label)[:, None], per_label]
    area = weighted_label_auc(weights, labels, scores)
    return np.concatenate([*columns, mean_of_defined(area)[:, None], area], axis=1)


def validated_label_arrays(
    labels: ArrayLike, predictions: ArrayLike, scores: ArrayLike, classes: Sequence[str]
) -> tuple[Floats, Floats, Floats]:
    """Check labels, predictions and scores of L classes; return them as float64 ``(N, L)``.

    Raises:
        ValueError: if shapes do not fit, a label is not 0, 1 or NaN, a prediction not 0 or 1, or a score not finite.
    """
    arrays = [np.asarray(array, dtype=np.float64) for array in (labels, predictions, scores)]
    shapes = [array.shape for array in arrays]
    if len(set(shapes)) > 1 or arrays[0].ndim != 2 or arrays[0].shape[1] != len(classes) or not len(arrays[0]):
        raise ValueError(f"labels, predictions and scores must be (N, {len(classes)}) with N >= 1, found {shapes}")
    truth, called, values = arrays
    allowed = np.isnan(truth) | np.isin(truth, (0.0, 1.0))
    if not allowed.all():
        raise ValueError(f"labels must be 0, 1 or NaN (unknown), found {truth[~allowed][0]:g}")
    if not np.isin(called, (0.0, 1.0)).all():
        raise ValueError(f"predictions must be 0 or 1, found {called[~np.isin(called, (0.0, 1.0))][0]:g}")
    if not np.isfinite(values).all():
        raise ValueError(f"scores must be finite, found {values[~np.isfinite(values)][0]}")
    return truth, called, values


def _ratio(numerator: Floats, denominator: Floats, defined: NDArray[np.bool_]) -> Floats:
    numerator, denominator, defined = np.broadcast_arrays(numerator, denominator, defined)
    return np.divide(numerator, denominator, out=np.full(numerator.shape, np.nan), where=defined)
