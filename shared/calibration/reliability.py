"""Data of a reliability diagram: per bin, what was promised and what was kept."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri

from shared.calibration.binning import Binning, assign_bins, bin_edges, binned_sums
from shared.calibration.calibration_error import top_label_event
from shared.calibration.validation import validated_multiclass, validated_outcomes

__all__ = ["event_reliability", "reliability_diagram", "wilson_interval"]


def wilson_interval(successes: ArrayLike, trials: ArrayLike, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """Return the score interval of a proportion (Wilson 1927).

    Args:
        successes: number of successes, any shape.
        trials: number of trials, at least 1, of the same shape.
        level: nominal coverage.

    Returns:
        Lower and upper bound.

    Example:
        >>> low, high = wilson_interval(8, 10)
        >>> print(f"{low:.3f} {high:.3f}")
        0.490 0.943
    """
    trials = np.asarray(trials, dtype=np.float64)
    share = np.asarray(successes, dtype=np.float64) / trials
    z = ndtri((1 + level) / 2)
    centre = (share + z**2 / (2 * trials)) / (1 + z**2 / trials)
    half = z / (1 + z**2 / trials) * np.sqrt(share * (1 - share) / trials + z**2 / (4 * trials**2))
    return np.maximum(centre - half, 0), np.minimum(centre + half, 1)


def event_reliability(
    forecast: ArrayLike, outcome: ArrayLike, *, n_bins: int = 15, binning: Binning = "equal_width"
) -> dict[str, Any]:
    """Return the reliability diagram of forecasts of one kind of event.

    Args:
        forecast: probabilities ``(N,)``.
        outcome: whether each event happened, ``(N,)``.
        n_bins: number of bins.
        binning: ``"equal_width"`` or ``"equal_mass"``.

    Returns:
        JSON types: ``{"binning", "n", "bins": [{"lower", "upper", "count", "confidence", "accuracy",
        "accuracy_ci95"}, …]}``, where ``confidence`` is the mean forecast, ``accuracy`` the observed frequency and its
        interval Wilson's; the three are ``None`` in a bin without samples.

    Raises:
        ValueError: if an argument is not allowed.
    """
    forecast, outcome = validated_outcomes(forecast, outcome)
    edges = bin_edges(forecast, n_bins, binning)
    count, confidence, hits, *_ = binned_sums(forecast, outcome, assign_bins(forecast, edges), len(edges) - 1)
    bins = []
    for index, (lower, upper) in enumerate(itertools.pairwise(edges)):
        entry: dict[str, Any] = {"lower": float(lower), "upper": float(upper), "count": int(count[index])}
        if count[index] > 0:
            interval = wilson_interval(hits[index], count[index])
            entry["confidence"] = float(confidence[index] / count[index])
            entry["accuracy"] = float(hits[index] / count[index])
            entry["accuracy_ci95"] = [float(bound) for bound in interval]
        else:
            entry |= {"confidence": None, "accuracy": None, "accuracy_ci95": None}
        bins.append(entry)
    return {"binning": binning, "n": len(forecast), "bins": bins}


def reliability_diagram(
    probabilities: ArrayLike, labels: ArrayLike, *, n_bins: int = 15, binning: Binning = "equal_width"
) -> dict[str, Any]:
    """Return the reliability diagram of the predicted class: largest probability against accuracy.

    Args:
        probabilities: ``(N, K)``.
        labels: class indices ``(N,)``.
        n_bins: number of bins.
        binning: ``"equal_width"`` or ``"equal_mass"``.

    Returns:
        As :func:`event_reliability`.

    Raises:
        ValueError: if an argument is not allowed.
    """
    forecast, outcome = top_label_event(*validated_multiclass(probabilities, labels))
    return event_reliability(forecast, outcome, n_bins=n_bins, binning=binning)
