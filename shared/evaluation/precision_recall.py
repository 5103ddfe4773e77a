"""The precision–recall curve of a two-class problem with a band, and average precision with an interval.

Where the class to be found is rare, precision says what a ROC curve hides: how many of those called positive are.
It depends on the prevalence, which is therefore part of the result. Values are scikit-learn's; band and interval come
from the same curve written for weighted samples, one per bootstrap resample.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn import metrics as sklearn_metrics

from shared.evaluation.binary import checked_scores, cumulated_counts
from shared.evaluation.bootstrap import bootstrap_interval

__all__ = ["average_precision", "precision_recall_curve", "weighted_average_precision", "weighted_precision_curve"]

Floats = NDArray[np.float64]
GRID = 101


def average_precision(
    positive: ArrayLike,
    scores: ArrayLike,
    *,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
    groups: ArrayLike | None = None,
) -> dict[str, Any]:
    """Return Σ_k (R_k − R_{k−1}) P_k over all thresholds, as ``{"value", "ci95"}``; NaN without a positive sample.

    Args:
        positive: whether each sample is of the class to be found, ``(N,)``, boolean or 0 and 1.
        scores: its probability ``(N,)``.
        resamples: number of bootstrap resamples.
        level: nominal coverage of the interval.
        seed: seed of the bootstrap.
        groups: see :func:`shared.evaluation.bootstrap.bootstrap_weights`.

    Raises:
        ValueError: as :func:`shared.evaluation.binary.binary_metrics`.

    Example:
        >>> round(average_precision([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8], resamples=20)["value"], 4)
        0.8333
    """
    truth, values = checked_scores(positive, scores)
    interval = bootstrap_interval(
        weighted_average_precision, [truth, values], resamples=resamples, level=level, seed=seed, groups=groups
    )
    exact = sklearn_metrics.average_precision_score(truth, values) if truth.any() else np.nan
    return replace(interval, value=np.asarray(exact, dtype=np.float64)).to_json()


def precision_recall_curve(
    positive: ArrayLike,
    scores: ArrayLike,
    threshold: float = 0.5,
    *,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
    groups: ArrayLike | None = None,
) -> dict[str, Any]:
    """Return the precision–recall curve with a pointwise bootstrap band, ready for JSON.

    Args:
        positive: see :func:`average_precision`.
        scores: see :func:`average_precision`.
        threshold: a sample is called positive if its probability is above this; where the operating point lies.
        resamples: number of bootstrap resamples.
        level: nominal coverage of the band at each recall.
        seed: seed of the bootstrap.
        groups: see :func:`shared.evaluation.bootstrap.bootstrap_weights`.

    Returns:
        ``recall`` (ascending from 0) and ``precision`` at each threshold; between two recalls the precision is that of
        the higher, as the average precision sums it. ``band``, lists ``recall``, ``low`` and ``high`` on an even grid;
        ``prevalence``, the precision of chance; ``operating_point``, ``recall`` and ``precision`` at ``threshold``
        (precision ``None`` where nothing is called positive).

    Raises:
        ValueError: as :func:`average_precision`, or if no sample is positive.
    """
    truth, values = checked_scores(positive, scores)
    if not truth.any():
        raise ValueError(f"precision and recall need positive samples, found none of {len(truth)}")
    precision, recall, _ = sklearn_metrics.precision_recall_curve(truth, values)
    # scikit-learn ends with an invented point of no recall and precision 1
    precision, recall = precision[-2::-1], recall[-2::-1]
    grid = np.linspace(0, 1, GRID)

    def statistic(weights: Floats, *arrays: np.ndarray) -> Floats:
        return weighted_precision_curve(weights, *arrays, grid=grid)

    band = bootstrap_interval(statistic, [truth, values], resamples=resamples, level=level, seed=seed, groups=groups)
    called = values > threshold
    return {
        "recall": [0.0, *recall.tolist()],
        "precision": [float(precision[0]), *precision.tolist()],
        "band": {"recall": grid.tolist(), "low": band.low.tolist(), "high": band.high.tolist()},
        "prevalence": float(truth.mean()),
        "operating_point": {
            "threshold": threshold,
            "recall": float(called[truth].mean()),
            "precision": float(truth[called].mean()) if called.any() else None,
        },
    }


def weighted_average_precision(weights: Floats, positive: NDArray[np.bool_], scores: Floats) -> Floats:
    """Return the average precision for each row of weights, a statistic for the bootstrap.

    Args:
        weights: ``(R, N)``.
        positive: ``(N,)``.
        scores: ``(N,)``.

    Returns:
        ``(R,)``, NaN for a row without a positive sample.
    """
    recall, precision = _curves(weights, positive, scores)
    # above the highest score that a resample has drawn nothing is called positive, and nothing found
    return np.asarray((np.diff(recall, axis=1, prepend=0) * np.nan_to_num(precision)).sum(axis=1))


def weighted_precision_curve(weights: Floats, positive: NDArray[np.bool_], scores: Floats, *, grid: Floats) -> Floats:
    """Return the precision at given recalls for each row of weights: that of the first threshold which reaches them.

    Args:
        weights: ``(R, N)``.
        positive: ``(N,)``.
        scores: ``(N,)``.
        grid: recalls in [0, 1], ``(G,)``.

    Returns:
        ``(R, G)``, NaN for rows without a positive sample.
    """
    recall, precision = _curves(weights, positive, scores)
    curves = np.full((len(weights), len(grid)), np.nan)
    for row in np.flatnonzero(~np.isnan(recall[:, -1])):
        reached = np.searchsorted(recall[row], grid - 1e-12)
        # a recall of 0 is reached by the first threshold that this resample has a sample at
        drawn = int(np.argmax(~np.isnan(precision[row])))
        curves[row] = precision[row, np.maximum(reached, drawn)]
    return curves


def _curves(weights: Floats, positive: NDArray[np.bool_], scores: Floats) -> tuple[Floats, Floats]:
    """Return recall and precision ``(R, thresholds)`` from the highest score on; NaN where they are not defined."""
    false_alarms, hits = cumulated_counts(weights, positive, scores)
    with np.errstate(invalid="ignore", divide="ignore"):
        return hits / hits[:, -1:], hits / (hits + false_alarms)
