"""Bins of forecasts, and the sums per bin from which calibration errors and Brier components follow."""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

import numpy as np

__all__ = ["BinnedSums", "Binning", "assign_bins", "bin_edges", "binned_sums"]

Binning = Literal["equal_width", "equal_mass"]


class BinnedSums(NamedTuple):
    """Sums over the (weighted) samples of each bin; arrays broadcast against one another to ``(..., B)``.

    Attributes:
        size: Σ w, the number of samples.
        forecast: Σ w f.
        outcome: Σ w o.
        forecast_squared: Σ w f².
        forecast_outcome: Σ w f o.
    """

    size: np.ndarray
    forecast: np.ndarray
    outcome: np.ndarray
    forecast_squared: np.ndarray
    forecast_outcome: np.ndarray


def bin_edges(forecast: np.ndarray, n_bins: int, binning: Binning = "equal_width") -> np.ndarray:
    """Return the edges of the bins over [0, 1].

    ``equal_width`` cuts [0, 1] into ``n_bins`` bins of one width (Naeini et al. 2015). ``equal_mass`` cuts at the
    forecasts of rank i N / ``n_bins``, so that bins hold equally many samples (Nguyen and O'Connor 2015). Equal
    forecasts are never split, or the result would depend on the order of the samples; with ties there may therefore
    be fewer bins.

    Args:
        forecast: probabilities ``(N,)``.
        n_bins: number of bins.
        binning: ``"equal_width"`` or ``"equal_mass"``.

    Returns:
        Ascending edges ``(B + 1,)`` from 0 to 1 with B <= ``n_bins``. A last edge that is repeated, ``[..., 1, 1]``,
        is the bin of forecasts that are exactly 1.

    Raises:
        ValueError: if ``n_bins`` is below 1 or the binning is unknown.
    """
    if n_bins < 1:
        raise ValueError(f"n_bins must be at least 1, found {n_bins}")
    if binning not in get_args(Binning):
        raise ValueError(f"binning must be one of {get_args(Binning)}, found {binning!r}")
    if binning == "equal_width":
        return np.linspace(0, 1, n_bins + 1)
    ascending = np.sort(forecast)
    cuts = np.unique(ascending[np.arange(1, n_bins) * len(ascending) // n_bins])
    return np.concatenate([[0.0], cuts[cuts > ascending[0]], [1.0]])


def assign_bins(forecast: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Return the bin of each forecast, ``(N,)``: bins are [lower, upper), the last one includes 1.

    Example:
        >>> assign_bins(np.array([0.0, 0.1, 0.95, 1.0]), np.linspace(0, 1, 11))
        array([0, 1, 9, 9])
    """
    return np.searchsorted(edges[1:-1], forecast, side="right")


def binned_sums(
    forecast: np.ndarray, outcome: np.ndarray, bins: np.ndarray, n_bins: int, weights: np.ndarray | None = None
) -> BinnedSums:
    """Sum forecasts and outcomes per bin, for many resamples at once.

    Args:
        forecast: probabilities ``(N,)``.
        outcome: 0 or 1, ``(N,)``, or ``(R, N)`` for R simulated sets of outcomes.
        bins: bin of each sample, ``(N,)``.
        n_bins: number of bins B.
        weights: how often each sample counts, ``(R, N)`` for R bootstrap resamples; once each if ``None``.

    Returns:
        Sums per bin; those that vary with the resample are ``(R, B)``, the others ``(B,)``.
    """
    member = np.eye(n_bins)[bins]  # (N, B)
    weighted_forecast = member * forecast[:, None]  # (N, B)
    weights = np.ones(len(forecast)) if weights is None else weights
    weighted_outcome = weights * outcome  # (N,) or (R, N)
    return BinnedSums(
        size=weights @ member,
        forecast=weights @ weighted_forecast,
        outcome=weighted_outcome @ member,
        forecast_squared=weights @ (weighted_forecast * forecast[:, None]),
        forecast_outcome=weighted_outcome @ weighted_forecast,
    )
