"""Selective prediction: answer only where the confidence is high enough, and measure what that buys.

Definitions after Geifman and El-Yaniv 2017, "Selective classification for deep neural networks". With confidence κ and
threshold θ the samples with κ >= θ are accepted; *coverage* is their share and *risk* the error rate among them.
Samples of equal confidence are accepted together: no threshold can tell them apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import digamma

from shared.calibration.resampling import central_interval
from shared.evaluation.bootstrap import bootstrap_weights, count_groups, interval_entry
from shared.evaluation.proportion_entry import proportion_entry

__all__ = [
    "RiskCoverageCurve",
    "aurc",
    "coverage_at_risk",
    "excess_aurc",
    "risk_coverage_curve",
    "selective_report",
    "weighted_aurc",
]


class RiskCoverageCurve(NamedTuple):
    """One point per distinct confidence, from the most confident on.

    Attributes:
        threshold: distinct confidences, descending, ``(G,)``.
        coverage: share of samples accepted at each threshold, ascending to 1, ``(G,)``.
        risk: error rate among the accepted, ``(G,)``; with resampling weights ``(R, G)``, like ``coverage``.
    """

    threshold: np.ndarray
    coverage: np.ndarray
    risk: np.ndarray


def risk_coverage_curve(confidence: ArrayLike, error: ArrayLike) -> RiskCoverageCurve:
    """Return coverage and risk at every threshold that makes a difference.

    Args:
        confidence: any score that is larger where the prediction is more certain, ``(N,)``.
        error: whether the prediction is wrong, 0 or 1, ``(N,)``.

    Raises:
        ValueError: if shapes differ, nothing is given, a confidence is not finite or an error not 0 or 1.

    Example:
        >>> curve = risk_coverage_curve([0.9, 0.8, 0.8, 0.1], [0, 0, 1, 1])
        >>> curve.threshold.tolist(), curve.coverage.tolist()
        ([0.9, 0.8, 0.1], [0.25, 0.75, 1.0])
    """
    confidence, error = _validated(confidence, error)
    return _weighted_curve(confidence, error, np.ones(len(confidence)))


def aurc(confidence: ArrayLike, error: ArrayLike) -> float:
    """Return the area under the risk–coverage curve: the mean over the samples of the risk at their own threshold.

    ``AURC = 1/N Σ_i risk(θ = κ_i)`` (Geifman, Uziel and El-Yaniv 2019, "Bias-reduced uncertainty estimation for deep
    neural classifiers"). 0 without errors; the error rate where the confidence is constant.

    Raises:
        ValueError: as :func:`risk_coverage_curve`.
    """
    return float(_area(risk_coverage_curve(confidence, error)))


def weighted_aurc(weights: np.ndarray, confidence: ArrayLike, error: ArrayLike) -> np.ndarray:
    """Return :func:`aurc` for each row of weights, a statistic for the bootstrap.

    Args:
        weights: ``(R, N)``.
        confidence: ``(N,)``.
        error: whether the prediction is wrong, 0 or 1, ``(N,)``.

    Returns:
        ``(R,)``; NaN for a row without any weight.

    Raises:
        ValueError: as :func:`risk_coverage_curve`.
    """
    confidence, error = _validated(confidence, error)
    with np.errstate(invalid="ignore"):
        return np.asarray(_area(_weighted_curve(confidence, error, weights)))


def excess_aurc(confidence: ArrayLike, error: ArrayLike) -> float:
    """Return AURC minus that of the best order of the same errors (every wrong prediction below every right one).

    Raises:
        ValueError: as :func:`risk_coverage_curve`.
    """
    return aurc(confidence, error) - float(_optimal_area(np.array(np.size(error)), np.sum(error)))


def coverage_at_risk(confidence: ArrayLike, error: ArrayLike, target_risk: float) -> float:
    """Return the largest coverage at which the risk is at most ``target_risk``; 0 if there is none.

    Raises:
        ValueError: as :func:`risk_coverage_curve`.
    """
    return float(_largest_coverage(risk_coverage_curve(confidence, error), target_risk))


def selective_report(
    confidence: ArrayLike,
    error: ArrayLike,
    *,
    target_risks: Sequence[float] = (0.01, 0.05, 0.1),
    resamples: int = 1000,
    seed: int = 0,
    groups: ArrayLike | None = None,
    unit: str | None = None,
    max_points: int = 500,
) -> dict[str, Any]:
    """Measure selective prediction, with percentile bootstrap intervals.

    Args:
        confidence: ``(N,)``.
        error: whether the prediction is wrong, ``(N,)``.
        target_risks: risks at which the coverage is asked.
        resamples: bootstrap resamples.
        seed: seed of the bootstrap.
        groups: donor or patient of each sample ``(N,)``; whole groups are then resampled, because samples of one donor
            are not independent of one another.
        unit: what ``groups`` are, ``patient`` for instance, for proportions on which all resamples agree, see
            :func:`shared.evaluation.proportion_entry.proportion_entry`.
        max_points: longest curve written; longer ones are thinned evenly, both ends kept.

    Returns:
        JSON types: ``{"n", "threshold": […], "coverage": […], "risk": […], "aurc", "excess_aurc",
        "risk_at_full_coverage", "coverage_at_risk": [{"target_risk", "value", "ci95"}, …]}``; the three numbers
        between are ``{"value", "ci95"}``, with a ``reason`` where there is no interval
        (:func:`shared.evaluation.bootstrap.interval_entry`).

    Raises:
        ValueError: as :func:`risk_coverage_curve`.
    """
    confidence, error = _validated(confidence, error)
    n = len(confidence)

    def measures(weights: np.ndarray) -> np.ndarray:
        curve = _weighted_curve(confidence, error, weights)
        area = _area(curve)
        excess = area - _optimal_area(weights.sum(axis=-1), weights @ error)
        covered = [_largest_coverage(curve, target) for target in target_risks]
        return np.stack([area, excess, curve.risk[..., -1], *covered], axis=-1)

    values = measures(np.ones(n))
    chunks = bootstrap_weights(n, resamples, seed=seed, groups=groups)
    resampled = np.concatenate([measures(weights) for weights in chunks])  # (R, 3 + T)
    entries = [
        interval_entry(float(value), central_interval(column), count_groups(n, groups))
        for value, column in zip(values, resampled.T, strict=True)
    ]
    entries[2] = proportion_entry(entries[2], np.ones(n, dtype=bool), groups, unit)
    curve = _weighted_curve(confidence, error, np.ones(n))
    kept = np.unique(np.linspace(0, len(curve.risk) - 1, min(max_points, len(curve.risk))).round().astype(int))
    return {
        "n": n,
        "threshold": curve.threshold[kept].tolist(),
        "coverage": curve.coverage[kept].tolist(),
        "risk": curve.risk[kept].tolist(),
        "aurc": entries[0],
        "excess_aurc": entries[1],
        "risk_at_full_coverage": entries[2],
        "coverage_at_risk": [
            {"target_risk": float(target)} | entry for target, entry in zip(target_risks, entries[3:], strict=True)
        ],
    }


def _weighted_curve(confidence: np.ndarray, error: np.ndarray, weights: np.ndarray) -> RiskCoverageCurve:
    order = np.argsort(-confidence, kind="stable")
    descending = confidence[order]
    ends = np.flatnonzero(np.append(np.diff(descending) != 0, True))  # last sample of each group of ties
    weights = weights[..., order]
    accepted = weights.cumsum(axis=-1)[..., ends]
    wrong = (weights * error[order]).cumsum(axis=-1)[..., ends]
    # where a resample holds none of the most confident samples nothing is accepted, and nothing is wrong
    risk = np.divide(wrong, accepted, out=np.zeros_like(accepted), where=accepted > 0)
    return RiskCoverageCurve(descending[ends], accepted / accepted[..., -1:], risk)


def _area(curve: RiskCoverageCurve) -> np.ndarray:
    return (np.diff(curve.coverage, axis=-1, prepend=0) * curve.risk).sum(axis=-1)


def _optimal_area(n: np.ndarray, errors: np.ndarray) -> np.ndarray:
    """Return the AURC of the best order of ``errors`` among ``n``: 1/n Σ_{i > n − e} (i − (n − e)) / i, any shape."""
    right = n - errors
    return (errors - right * (digamma(n + 1) - digamma(right + 1))) / n


def _largest_coverage(curve: RiskCoverageCurve, target_risk: float) -> np.ndarray:
    return np.where(curve.risk <= target_risk, curve.coverage, 0).max(axis=-1)


def _validated(confidence: ArrayLike, error: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    confidence = np.asarray(confidence, dtype=np.float64)
    error = np.asarray(error, dtype=np.float64)
    if confidence.ndim != 1 or confidence.shape != error.shape or confidence.size == 0:
        raise ValueError(f"expected confidence and error of one shape (N,), found {confidence.shape} and {error.shape}")
    if not np.isfinite(confidence).all():
        raise ValueError(f"confidence must be finite, found {confidence[~np.isfinite(confidence)][0]}")
    if not np.isin(error, (0.0, 1.0)).all():
        raise ValueError(f"errors must be 0 or 1, found {error[~np.isin(error, (0.0, 1.0))][0]}")
    return confidence, error
