"""Spearman's rank correlation as a statistic of the bootstrap: of all resamples at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["weighted_rank_correlation"]

Floats = NDArray[np.float64]


def weighted_rank_correlation(weights: Floats, x: ArrayLike, y: ArrayLike) -> Floats:
    """Return Spearman's rank correlation of samples that are there several times.

    It is that of the samples repeated as often as their weights say: what ties, copies of one sample among it, shares
    the mean of its ranks.

    Args:
        weights: how often each sample is there, whole numbers, ``(R, N)``.
        x: ``(N,)``.
        y: ``(N,)``.

    Returns:
        ``(R,)``, NaN where x or y is the same for all that have weight.

    Example:
        >>> weights = np.array([[1.0, 1.0, 1.0], [2.0, 0.0, 1.0]])
        >>> weighted_rank_correlation(weights, [1, 2, 3], [1, 9, 4]).round(2).tolist()
        [0.5, 1.0]
    """
    counts = np.asarray(weights, dtype=np.float64)
    total = counts.sum(axis=1, keepdims=True)
    first, second = (_ranks(counts, np.asarray(values)) - (total + 1) / 2 for values in (x, y))
    xy, xx, yy = ((counts * product).sum(axis=1) for product in (first * second, first**2, second**2))
    scale = np.sqrt(xx * yy)
    return np.clip(np.divide(xy, scale, out=np.full(len(xy), np.nan), where=scale > 1e-9), -1.0, 1.0)


def _ranks(counts: Floats, values: NDArray) -> Floats:
    """Return the mean rank of the copies of each sample, ``(R, N)``; the lowest of all copies has rank 1."""
    distinct, place = np.unique(values, return_inverse=True)
    of_value = counts @ np.eye(len(distinct))[place]  # (R, V): copies that tie
    below = np.cumsum(of_value, axis=1) - of_value
    return (below + (of_value + 1) / 2)[:, place]
