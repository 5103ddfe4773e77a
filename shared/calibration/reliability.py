"""Data of a reliability diagram: per bin, what was promised and what was kept."""

from __future__ import annotations

import itertools
from typing import Any

from numpy.typing import ArrayLike

from shared.calibration.binning import Binning, assign_bins, bin_edges, binned_sums
from shared.calibration.calibration_error import top_label_event
from shared.calibration.validation import validated_multiclass, validated_outcomes
from shared.evaluation.proportion import wilson_interval

__all__ = ["event_reliability", "reliability_diagram"]


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
