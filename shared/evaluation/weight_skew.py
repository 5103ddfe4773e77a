"""How evenly the weights of a pooling are spread over the instances of a bag, and whether that depends on its size.

Attention weights are a softmax over the bag. They can rest on a handful of instances however many there are, so that
further instances add nothing: the effective number of instances then stays behind the size of the bag.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from shared.evaluation.bootstrap import bootstrap_weights, percentile_interval

__all__ = ["skew_against_size", "weight_skew"]


def weight_skew(weights: ArrayLike, lengths: ArrayLike) -> pd.DataFrame:
    """Measure the skew of the weights within each bag.

    Args:
        weights: weights of the instances of B bags one after the other, ``(T,)``, not negative; they are divided by
            their sum within the bag.
        lengths: number of instances of each bag, ``(B,)``.

    Returns:
        One row for each bag with ``instances`` N; ``effective_instances`` ``1 / Σ aᵢ²`` (Kish), from 1 (one instance
        has all weight) to N (all have the same); ``effective_share``, that divided by N; ``gini`` ``Σᵢ Σⱼ |aᵢ − aⱼ| /
        (2 N)`` (0 for equal weights, (N − 1) / N if one has all); ``largest_weight``.

    Raises:
        ValueError: if the arrays do not fit together, a bag is empty or a weight is negative or no number, or all
            weights of a bag are 0.

    Example:
        >>> weight_skew([0.25, 0.25, 0.25, 0.25, 1.0, 0.0], [4, 2]).round(2).to_dict("list")["effective_instances"]
        [4.0, 1.0]
    """
    values, counts = np.asarray(weights, dtype=np.float64), np.asarray(lengths, dtype=np.int64)
    if values.ndim != 1 or counts.ndim != 1 or counts.sum() != len(values) or np.any(counts < 1):
        raise ValueError(f"weights must be (T,) and lengths positive with sum T, found {values.shape} and {counts}")
    if not np.all(np.isfinite(values) & (values >= 0)):
        raise ValueError("weights must be finite and not negative")
    starts = np.cumsum(counts) - counts
    bag = np.repeat(np.arange(len(counts)), counts)
    total = np.add.reduceat(values, starts)
    if np.any(total == 0):
        raise ValueError(f"all weights of bag {int(np.argmin(total))} are 0")
    shares = values / total[bag]
    effective = 1 / np.add.reduceat(shares**2, starts)
    # Σᵢ Σⱼ |aᵢ − aⱼ| = 2 Σ (2 k − N − 1) a_(k) for the ascending order a_(1) … a_(N)
    ascending = shares[np.lexsort((shares, bag))]
    rank = np.arange(len(shares)) - starts[bag] + 1
    gini = np.add.reduceat((2 * rank - counts[bag] - 1) * ascending, starts) / counts
    return pd.DataFrame(
        {
            "instances": counts,
            "effective_instances": effective,
            "effective_share": effective / counts,
            "gini": gini,
            "largest_weight": np.maximum.reduceat(shares, starts),
        }
    )


def skew_against_size(skew: pd.DataFrame, *, resamples: int = 1000, seed: int = 0) -> dict[str, Any]:
    """Summarise the skew over bags, and how it goes with their size.

    Args:
        skew: what :func:`weight_skew` returned.
        resamples: number of bootstrap resamples of bags.
        seed: seed of the bootstrap.

    Returns:
        For each measure ``mean`` and ``rank_correlation_with_size`` (Spearman), as ``{"value", "ci95"}``. Equal weights
        give an effective number that is the size and correlates with it by 1; a correlation near 0 says that larger
        bags are decided by no more instances than small ones.
    """
    drawn = np.concatenate(list(bootstrap_weights(len(skew), resamples, seed=seed))).astype(np.int64)
    rows = [np.repeat(np.arange(len(skew)), counts) for counts in drawn]
    size = skew["instances"].to_numpy(dtype=np.float64)
    summary: dict[str, Any] = {"n": len(skew)}
    for name in ("effective_instances", "effective_share", "gini", "largest_weight"):
        values = skew[name].to_numpy(dtype=np.float64)
        statistics = {
            "mean": (values.mean(), values[np.stack(rows)].mean(axis=1)),
            "rank_correlation_with_size": (
                _rank_correlation(size, values),
                np.array([_rank_correlation(size[row], values[row]) for row in rows]),
            ),
        }
        summary[name] = {
            key: percentile_interval(value, resampled).to_json() for key, (value, resampled) in statistics.items()
        }
    return summary


def _rank_correlation(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Spearman's correlation; NaN where one of the two is constant."""
    ranks = [stats.rankdata(values.round(12)) for values in (first, second)]
    if any(np.ptp(rank) == 0 for rank in ranks):
        return np.nan
    return float(np.corrcoef(*ranks)[0, 1])
