"""Simulated labels in vectorised chunks, and the intervals that are read off simulations and bootstrap resamples."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

__all__ = ["basic_interval", "central_interval", "simulated_labels", "simulated_outcomes"]

CHUNK_ELEMENTS = 2_000_000


def _chunk_sizes(total: int, n: int) -> Iterator[int]:
    rows = max(1, CHUNK_ELEMENTS // n)
    while total > 0:
        yield min(rows, total)
        total -= rows


def simulated_labels(probabilities: np.ndarray, simulations: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Draw the labels that would be seen if the stated probabilities were true.

    Args:
        probabilities: ``(N, K)``.
        simulations: number of sets of labels.
        rng: source of randomness.

    Yields:
        Class indices ``(R, N)``; the chunks' R add up to ``simulations``.
    """
    thresholds = probabilities.cumsum(axis=1)[:, :-1].T  # (K - 1, N)
    for rows in _chunk_sizes(simulations, len(probabilities)):
        uniform = rng.random((rows, len(probabilities)))
        labels = np.zeros(uniform.shape, dtype=np.int64)
        for threshold in thresholds:
            labels += uniform >= threshold
        yield labels


def simulated_outcomes(forecast: np.ndarray, simulations: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Draw whether events happen if the forecasts ``(N,)`` were true; yields 0 or 1, float64 ``(R, N)``."""
    for rows in _chunk_sizes(simulations, len(forecast)):
        yield (rng.random((rows, len(forecast))) < forecast).astype(np.float64)


def central_interval(values: np.ndarray, level: float = 0.95) -> list[float]:
    """Return the quantiles between which the central share ``level`` of ``values`` lies, ``[low, high]``."""
    return [float(bound) for bound in np.quantile(values, [(1 - level) / 2, (1 + level) / 2])]


def basic_interval(
    value: float, resampled: np.ndarray, level: float = 0.95, minimum: float = -np.inf, maximum: float = np.inf
) -> list[float]:
    """Return the basic bootstrap interval ``[2 θ − q_high, 2 θ − q_low]`` (Davison and Hinkley 1997, section 5.2).

    Calibration errors are biased upwards, and a bootstrap resample adds the same bias once more. The percentile
    interval would double the bias (and for a nearly calibrated predictor not even hold the estimate); the basic
    interval subtracts it. It is cut at ``minimum`` and ``maximum`` and widened, if need be, to hold the estimate.

    Args:
        value: estimate θ on the data.
        resampled: the estimates on the resamples, ``(R,)``.
        level: nominal coverage.
        minimum: smallest possible value.
        maximum: largest possible value.

    Returns:
        ``[low, high]``.
    """
    low, high = central_interval(resampled, level)
    return [min(max(2 * value - high, minimum), value), max(min(2 * value - low, maximum), value)]
