"""Metrics of a two-class problem in which one class is the one to be found, and its ROC curve with a band.

Values are scikit-learn's. The band comes from the same curve written for weighted samples, one per bootstrap resample.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn import metrics as sklearn_metrics

from shared.evaluation.bootstrap import bootstrap_interval
from shared.evaluation.classification import weighted_confusion, weighted_roc_auc
from shared.evaluation.proportion_entry import interval_entries

__all__ = [
    "NAMES",
    "binary_metrics",
    "checked_scores",
    "cumulated_counts",
    "roc_curve",
    "weighted_binary_metrics",
    "weighted_roc_curve",
]

Floats = NDArray[np.float64]
NAMES = ("sensitivity", "specificity", "accuracy", "balanced_accuracy", "roc_auc")
GRID = 101


def binary_metrics(
    positive: ArrayLike,
    scores: ArrayLike,
    threshold: float = 0.5,
    *,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
    strata: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    unit: str | None = None,
) -> dict[str, dict[str, Any]]:
    """Measure the probabilities of the class to be found.

    Args:
        positive: whether each sample is of that class, ``(N,)``, boolean or 0 and 1.
        scores: its probability ``(N,)``.
        threshold: a sample is called positive if its probability is above this.
        resamples: number of bootstrap resamples.
        level: nominal coverage of the intervals.
        seed: seed of the bootstrap.
        strata: see :func:`shared.evaluation.bootstrap.bootstrap_weights`.
        groups: see :func:`shared.evaluation.bootstrap.bootstrap_weights`.
        unit: what ``groups`` are, ``patient`` for instance, for proportions on which all resamples agree, see
            :func:`shared.evaluation.proportion_entry.proportion_entry`.

    Returns:
        ``{name: {"value", "ci95"}}`` for sensitivity, specificity, accuracy, balanced accuracy and ROC AUC.

    Raises:
        ValueError: if the arrays are not ``(N,)`` with N ≥ 1, or a value is neither 0 nor 1, or no finite number.

    Example:
        >>> measured = binary_metrics([0, 0, 1, 1, 1], [0.1, 0.6, 0.4, 0.8, 0.9], resamples=50)
        >>> {name: round(entry["value"], 3) for name, entry in measured.items()}
        {'sensitivity': 0.667, 'specificity': 0.5, 'accuracy': 0.6, 'balanced_accuracy': 0.583, 'roc_auc': 0.833}
    """
    truth, values = checked_scores(positive, scores)

    def statistic(weights: Floats, *arrays: np.ndarray) -> Floats:
        return weighted_binary_metrics(weights, *arrays, threshold=threshold)

    options: dict[str, Any] = {"resamples": resamples, "level": level, "seed": seed, "strata": strata, "groups": groups}
    interval = bootstrap_interval(statistic, [truth, values], **options)
    interval = replace(interval, value=_sklearn_values(truth, values, threshold))
    counted = {"sensitivity": truth, "specificity": ~truth, "accuracy": np.ones(len(truth), dtype=bool)}
    return interval_entries(interval, NAMES, counted, groups, unit)


def weighted_binary_metrics(
    weights: Floats, positive: NDArray[np.bool_], scores: Floats, *, threshold: float = 0.5
) -> Floats:
    """Return the metrics for each row of weights, a statistic for the bootstrap.

    Args:
        weights: ``(R, N)``.
        positive: ``(N,)``.
        scores: ``(N,)``.
        threshold: see :func:`binary_metrics`.

    Returns:
        ``(R, 5)`` in the order of ``NAMES``; NaN where a metric is not defined.
    """
    table = weighted_confusion(weights, positive.astype(np.intp), (scores > threshold).astype(np.intp), 2)
    (negatives, positives), total = table.sum(axis=2).T, table.sum(axis=(1, 2))
    with np.errstate(invalid="ignore"):
        sensitivity, specificity = table[:, 1, 1] / positives, table[:, 0, 0] / negatives
    accuracy = (table[:, 0, 0] + table[:, 1, 1]) / total
    area = weighted_roc_auc(weights, scores, positive)
    return np.stack([sensitivity, specificity, accuracy, (sensitivity + specificity) / 2, area], axis=1)


def roc_curve(
    positive: ArrayLike,
    scores: ArrayLike,
    threshold: float = 0.5,
    *,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
    groups: ArrayLike | None = None,
) -> dict[str, Any]:
    """Return the ROC curve with a pointwise bootstrap band, ready for JSON.

    Args:
        positive: see :func:`binary_metrics`.
        scores: see :func:`binary_metrics`.
        threshold: where the operating point lies on the curve.
        resamples: number of bootstrap resamples.
        level: nominal coverage of the band at each false-positive rate.
        seed: seed of the bootstrap.
        groups: see :func:`shared.evaluation.bootstrap.bootstrap_weights`.

    Returns:
        ``false_positive_rate`` and ``true_positive_rate``, the corners of the curve; ``band``, lists
        ``false_positive_rate``, ``low`` and ``high`` on an even grid; ``operating_point``, the rates at ``threshold``.

    Raises:
        ValueError: as :func:`binary_metrics`, or if one of the classes has no sample.
    """
    truth, values = checked_scores(positive, scores)
    if truth.all() or not truth.any():
        raise ValueError(f"a ROC curve needs both classes, found {int(truth.sum())} positive of {len(truth)} samples")
    false_rate, true_rate, _ = sklearn_metrics.roc_curve(truth, values)
    grid = np.linspace(0, 1, GRID)

    def statistic(weights: Floats, *arrays: np.ndarray) -> Floats:
        return weighted_roc_curve(weights, *arrays, grid=grid)

    band = bootstrap_interval(statistic, [truth, values], resamples=resamples, level=level, seed=seed, groups=groups)
    called = values > threshold
    return {
        "false_positive_rate": false_rate.tolist(),
        "true_positive_rate": true_rate.tolist(),
        "band": {"false_positive_rate": grid.tolist(), "low": band.low.tolist(), "high": band.high.tolist()},
        "operating_point": {
            "threshold": threshold,
            "false_positive_rate": float(called[~truth].mean()),
            "true_positive_rate": float(called[truth].mean()),
        },
    }


def weighted_roc_curve(weights: Floats, positive: NDArray[np.bool_], scores: Floats, *, grid: Floats) -> Floats:
    """Return the true-positive rate at given false-positive rates for each row of weights.

    Between the thresholds that the scores allow, the curve is linear: the rates of a coin between the two.

    Args:
        weights: ``(R, N)``.
        positive: ``(N,)``.
        scores: ``(N,)``.
        grid: false-positive rates ``(G,)``.

    Returns:
        ``(R, G)``, NaN for rows without a positive or without a negative sample. Where the curve is vertical, its
        upper end.
    """
    counts = cumulated_counts(weights, positive, scores)
    rates = [np.pad(count, ((0, 0), (1, 0))) for count in counts]  # (R, thresholds + 1) each
    totals = [rate[:, -1:] for rate in rates]
    with np.errstate(invalid="ignore"):
        false_rate, true_rate = (rate / total for rate, total in zip(rates, totals, strict=True))
    curves = np.full((len(weights), len(grid)), np.nan)
    for row in np.flatnonzero((totals[0] > 0)[:, 0] & (totals[1] > 0)[:, 0]):
        # of several points above one another np.interp takes the last, which is the upper end
        curves[row] = np.interp(grid, false_rate[row], true_rate[row])
    return curves


def cumulated_counts(weights: Floats, positive: NDArray[np.bool_], scores: Floats) -> tuple[Floats, Floats]:
    """Return the weight of the negative and of the positive samples that reach each threshold, from the highest on.

    Args:
        weights: ``(R, N)``.
        positive: ``(N,)``.
        scores: ``(N,)``; each of their values is a threshold.

    Returns:
        Of the negative and of the positive samples, ``(R, thresholds)`` each.
    """
    order = np.argsort(-scores, kind="stable")
    last = np.flatnonzero(np.r_[np.diff(scores[order]) != 0, True])  # last of each group of equal scores
    ordered, flags = weights[:, order], positive[order]
    negatives, positives = (np.cumsum(ordered * chosen, axis=1)[:, last] for chosen in (~flags, flags))
    return negatives, positives


def _sklearn_values(positive: NDArray[np.bool_], scores: Floats, threshold: float) -> Floats:
    called = scores > threshold
    sensitivity, specificity = (
        sklearn_metrics.recall_score(positive, called, pos_label=label, zero_division=np.nan) for label in (True, False)
    )
    area = sklearn_metrics.roc_auc_score(positive, scores) if 0 < positive.sum() < len(positive) else np.nan
    accuracy = sklearn_metrics.accuracy_score(positive, called)
    return np.array([sensitivity, specificity, accuracy, (sensitivity + specificity) / 2, area], dtype=np.float64)


def checked_scores(positive: ArrayLike, scores: ArrayLike) -> tuple[NDArray[np.bool_], Floats]:
    """Return whether each sample is positive, boolean ``(N,)``, and its score in float64 ``(N,)``.

    Raises:
        ValueError: as :func:`binary_metrics`.
    """
    truth, values = np.asarray(positive), np.asarray(scores, dtype=np.float64)
    if truth.ndim != 1 or truth.shape != values.shape or len(truth) == 0:
        raise ValueError(f"positive and scores must both be (N,), found shapes {truth.shape} and {values.shape}")
    if not np.isin(truth, (0, 1)).all():
        raise ValueError(f"positive must be boolean or 0 and 1, found {truth[~np.isin(truth, (0, 1))][0]!r}")
    if not np.isfinite(values).all():
        raise ValueError(f"scores must be finite, found {values[~np.isfinite(values)][0]}")
    return truth.astype(bool), values
