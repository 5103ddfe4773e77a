"""Calibration error: how far stated probabilities lie from observed frequencies, bin by bin.

With ``n_b`` samples in bin b, mean forecast ``f_b`` and observed frequency ``o_b``:

- ``l1``, expected calibration error: ``Σ_b n_b/N |f_b − o_b|`` (Naeini et al. 2015; Guo et al. 2017, equation 3),
- ``l2``, its root mean square: ``sqrt(Σ_b n_b/N (f_b − o_b)²)`` (Kumar et al. 2019),
- ``max``, maximum calibration error: ``max_b |f_b − o_b|`` over bins that hold samples (Guo et al. 2017, equation 5).

These estimates are biased upwards: a perfect predictor has a positive one. Read them with the interval and the null
band of :mod:`shared.calibration.calibration_report`.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike

from shared.calibration.binning import BinnedSums, Binning, assign_bins, bin_edges, binned_sums
from shared.calibration.validation import validated_binary, validated_multiclass, validated_outcomes

__all__ = [
    "Norm",
    "classwise_calibration_error",
    "event_calibration_error",
    "label_calibration_error",
    "mean_over_classes",
    "norm_of_gaps",
    "top_label_calibration_error",
    "top_label_event",
]

Norm = Literal["l1", "l2", "max"]


def norm_of_gaps(sums: BinnedSums, norm: Norm = "l1") -> np.ndarray:
    """Return the calibration error of sums per bin.

    Args:
        sums: sums ``(..., B)``.
        norm: ``"l1"``, ``"l2"`` or ``"max"``.

    Returns:
        Errors ``(...)``.

    Raises:
        ValueError: if the norm is unknown.
    """
    gap = np.abs(sums.forecast - sums.outcome)
    count = np.broadcast_to(sums.size, gap.shape)
    mean_gap = np.divide(gap, count, out=np.zeros_like(gap), where=count > 0)
    if norm == "l1":
        return gap.sum(axis=-1) / count.sum(axis=-1)
    if norm == "l2":
        return np.sqrt((gap * mean_gap).sum(axis=-1) / count.sum(axis=-1))
    if norm == "max":
        return mean_gap.max(axis=-1)
    raise ValueError(f"norm must be one of {get_args(Norm)}, found {norm!r}")


def mean_over_classes(errors: np.ndarray, norm: Norm) -> np.ndarray:
    """Combine one error per class, ``(..., K)``, to ``(...)`` with equal weights in the same norm.

    That is the mean for ``l1`` (Kull et al. 2019), the root mean square for ``l2`` (Kumar et al. 2019)
    and the largest for ``max``.
    """
    if norm == "l1":
        return errors.mean(axis=-1)
    return np.sqrt((errors**2).mean(axis=-1)) if norm == "l2" else errors.max(axis=-1)


def top_label_event(probabilities: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the largest probability of each sample and whether its class is the true one.

    Args:
        probabilities: ``(N, K)``.
        labels: ``(N,)`` or, for R simulated sets, ``(R, N)``.

    Returns:
        Forecast ``(N,)`` and outcome, float64 of the labels' shape.
    """
    return probabilities.max(axis=1), (labels == probabilities.argmax(axis=1)).astype(np.float64)


def event_calibration_error(
    forecast: ArrayLike, outcome: ArrayLike, *, n_bins: int = 15, binning: Binning = "equal_width", norm: Norm = "l1"
) -> float:
    """Return the calibration error of forecasts of one kind of event.

    Args:
        forecast: probabilities ``(N,)``.
        outcome: whether each event happened, ``(N,)``.
        n_bins: number of bins.
        binning: ``"equal_width"`` or ``"equal_mass"``.
        norm: ``"l1"``, ``"l2"`` or ``"max"``.

    Raises:
        ValueError: if an argument is not allowed.

    Example:
        >>> round(event_calibration_error([0.9, 0.9, 0.9, 1.0], [1, 1, 0, 1], n_bins=10), 4)
        0.175
    """
    forecast, outcome = validated_outcomes(forecast, outcome)
    bins = assign_bins(forecast, bin_edges(forecast, n_bins, binning))
    return float(norm_of_gaps(binned_sums(forecast, outcome, bins, n_bins), norm))


def top_label_calibration_error(
    probabilities: ArrayLike,
    labels: ArrayLike,
    *,
    n_bins: int = 15,
    binning: Binning = "equal_width",
    norm: Norm = "l1",
) -> float:
    """Return the calibration error of the predicted class: largest probability against accuracy.

    Args:
        probabilities: ``(N, K)``.
        labels: class indices ``(N,)``.
        n_bins: number of bins.
        binning: ``"equal_width"`` or ``"equal_mass"``.
        norm: ``"l1"``, ``"l2"`` or ``"max"``.

    Raises:
        ValueError: if an argument is not allowed.
    """
    forecast, outcome = top_label_event(*validated_multiclass(probabilities, labels))
    return event_calibration_error(forecast, outcome, n_bins=n_bins, binning=binning, norm=norm)


def classwise_calibration_error(
    probabilities: ArrayLike,
    labels: ArrayLike,
    *,
    n_bins: int = 15,
    binning: Binning = "equal_width",
    norm: Norm = "l1",
) -> float:
    """Return the calibration error of every class's probability, combined over the classes with equal weights.

    Args:
        probabilities: ``(N, K)``.
        labels: class indices ``(N,)``.
        n_bins: number of bins for each class; equal-mass bins are made for each class on its own.
        binning: ``"equal_width"`` or ``"equal_mass"``.
        norm: ``"l1"``, ``"l2"`` or ``"max"``.

    Raises:
        ValueError: if an argument is not allowed.
    """
    probabilities, labels = validated_multiclass(probabilities, labels)
    errors = [
        event_calibration_error(probabilities[:, k], labels == k, n_bins=n_bins, binning=binning, norm=norm)
        for k in range(probabilities.shape[1])
    ]
    return float(mean_over_classes(np.array(errors), norm))


def label_calibration_error(
    probabilities: ArrayLike,
    labels: ArrayLike,
    *,
    n_bins: int = 15,
    binning: Binning = "equal_width",
    norm: Norm = "l1",
) -> np.ndarray:
    """Return the calibration error of each of L labels that do not exclude one another.

    Args:
        probabilities: ``(N, L)``.
        labels: ``(N, L)`` with 0, 1, or NaN where unknown; unknown ones are left out.
        n_bins: number of bins for each label.
        binning: ``"equal_width"`` or ``"equal_mass"``.
        norm: ``"l1"``, ``"l2"`` or ``"max"``.

    Returns:
        Errors ``(L,)``.

    Raises:
        ValueError: if an argument is not allowed or a label is nowhere known.
    """
    probabilities, labels = validated_binary(probabilities, labels)
    errors = []
    for forecast, outcome in zip(probabilities.T, labels.T, strict=True):
        known = ~np.isnan(outcome)
        error = event_calibration_error(forecast[known], outcome[known], n_bins=n_bins, binning=binning, norm=norm)
        errors.append(error)
    return np.array(errors)
