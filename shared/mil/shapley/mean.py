"""Exact Shapley values of the instances under mean pooling."""

from __future__ import annotations

import torch
from torch import Tensor

from shared.mil.shapley.result import ShapleyValues, checked_scores, shapley_values

__all__ = ["harmonic_number", "mean_shapley"]

EULER_GAMMA = 0.5772156649015329


def harmonic_number(n: int) -> float:
    """Return H_n = 1 + 1/2 + … + 1/n = ψ(n + 1) + γ."""
    return float(torch.special.digamma(torch.tensor(n + 1.0, dtype=torch.float64))) + EULER_GAMMA


@torch.no_grad()
def mean_shapley(scores: Tensor, empty: float = 0.0) -> ShapleyValues:
    """Return the exact Shapley values of the game v(S) = mean of the scores in S, v(∅) = ``empty``, in O(N).

    Added as the (k + 1)-th, instance i changes the mean of the k before it by (s_i − mean) / (k + 1). The members of a
    random predecessor set of a given size k ≥ 1 have in expectation the mean m_i of the others, so that averaging over
    k = 0 … N − 1, each with probability 1/N, gives

    ``φ_i = [s_i − v(∅) + (s_i − m_i)(H_N − 1)] / N``, ``m_i = mean_{j≠i} s_j``, ``H_N = Σ_{k≤N} 1/k``.

    Args:
        scores: s, ``(N,)``, or ``(N, E)`` for E games at once.
        empty: value of the empty bag.

    Raises:
        ValueError: if the bag is empty or a number is not finite.

    Example:
        >>> mean_shapley(torch.tensor([3.0, 1.0])).values
        tensor([2., 0.], dtype=torch.float64)
    """
    scores = checked_scores(scores, empty, dimensions=(1, 2))
    n = len(scores)
    mean = scores.mean(dim=0)
    # s_i − m_i = (s_i − mean) N / (N − 1); a single instance has no others, and H_1 − 1 = 0
    surplus = (scores - mean) * ((harmonic_number(n) - 1) / max(n - 1, 1))
    return shapley_values((scores - empty) / n + surplus, mean, empty)
