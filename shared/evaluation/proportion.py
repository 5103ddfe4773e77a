"""The interval of a share of independent samples, and how many there are where samples belong together."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri

__all__ = ["count_units", "wilson_interval"]


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


def count_units(counted: ArrayLike, groups: ArrayLike | None = None) -> int:
    """Return over how many independent units a share is taken: samples that count, or groups that have one.

    Args:
        counted: whether each sample is in the denominator of the share ``(N,)``.
        groups: which samples belong together ``(N,)``; ``None`` where each stands for itself.

    Example:
        >>> count_units([True, True, False, True]), count_units([True, True, False, True], ["a", "a", "b", "c"])
        (3, 2)
    """
    chosen = np.asarray(counted, dtype=bool)
    return int(chosen.sum()) if groups is None else len(np.unique(np.asarray(groups)[chosen]))
