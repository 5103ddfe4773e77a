"""Exact Shapley values of the instances under log-mean-exp pooling."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from shared.mil.shapley.log_weight_grid import LogWeightGrid
from shared.mil.shapley.maximum import max_shapley
from shared.mil.shapley.random_subsets import RandomSubsets
from shared.mil.shapley.result import ShapleyValues, checked_scores, shapley_values

__all__ = ["log_mean_exp_shapley"]


@torch.no_grad()
def log_mean_exp_shapley(scores: Tensor, r: float, empty: float = 0.0) -> ShapleyValues:
    """Return the exact Shapley values of v(S) = 1/r ln(1/|S| Σ_{k∈S} e^{r s_k}), v(∅) = ``empty``, in O(N).

    The values add over a sum of games. That of −1/r ln|S| is symmetric, every instance has −ln(N)/(rN). In ln W(S), the
    logarithm of the summed weights w = e^{rs}, an instance adds to a set that is not empty
    ``ln(W + w_i) − ln W = ∫₀^∞ e^{−λW} (1 − z_i)/λ dλ``, and s_i − v(∅) to the empty one, which precedes it with
    probability 1/N. With the notation of :mod:`shared.mil.shapley.random_subsets`

    ``φ_i = 1/r ∫₀¹∫₀^∞ [P/q_i − (1 − t)^{N−1}] (1 − z_i)/λ dλ dt + (s_i − v(∅))/N − ln(N)/(rN)``,

    where (1 − t)^{N−1} takes the empty set out of the product. The integral is a function of w_i alone; it is computed
    on a grid of ln w and interpolated.

    Args:
        scores: s, ``(N,)``, or ``(N, E)`` for E games, which are solved one by one.
        r: sharpness: the mean as r → 0, the maximum as r → ∞; not 0.
        empty: value of the empty bag.

    Raises:
        ValueError: if r is 0, the bag is empty, or a number is not finite.

    Example:
        >>> log_mean_exp_shapley(torch.tensor([3.0, 1.0]), r=1.0).values
        tensor([2.2169, 0.2169], dtype=torch.float64)
    """
    if r == 0 or not math.isfinite(r):
        raise ValueError(f"r must be finite and not 0, found {r}; for r → 0 use mean pooling, for r → ∞ max pooling")
    scores = checked_scores(scores, empty, dimensions=(1, 2))
    columns = scores.reshape(len(scores), -1).unbind(dim=1)
    values = torch.stack([_values(column, r, empty) for column in columns], dim=1).reshape(scores.shape)
    whole = ((r * scores).logsumexp(dim=0) - math.log(len(scores))) / r
    return shapley_values(values, whole, empty)


def _values(scores: Tensor, r: float, empty: float) -> Tensor:
    """Return φ of one game, ``(N,)``."""
    n = len(scores)
    grid = LogWeightGrid(r * scores)
    instances = grid.sum_weights(torch.ones_like(scores))
    integral = torch.zeros_like(grid.nodes)
    for subsets in RandomSubsets.blocks(n, grid.nodes):
        z, q, absent = subsets.z, subsets.q, subsets.absent
        product = subsets.sum_over_instances(subsets.log_q, instances, absent.log()).exp()  # P, (T, J)
        integral += subsets.integrate((1 - z) / q, subsets.measure * product, 1 / absent)
        nobody = (subsets.measure * absent ** (n - 1)).expand_as(product)
        integral -= subsets.integrate((1 - z).expand_as(q), nobody, torch.ones_like(absent))
    gain = grid.interpolate(integral[:, None])[:, 0]
    if grid.shift is not None:
        # where gaps were narrowed, ln W lacks what they held below the heaviest member of S
        gain += max_shapley(grid.shift).values
        gain -= grid.shift / n  # the set of i alone is counted below with its full score
    return gain / r + (scores - empty) / n - math.log(n) / (r * n)
