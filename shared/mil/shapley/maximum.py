"""Exact Shapley values of the instances under max pooling."""

from __future__ import annotations

import torch
from torch import Tensor

from shared.mil.shapley.result import ShapleyValues, checked_scores, shapley_values

__all__ = ["max_shapley"]


@torch.no_grad()
def max_shapley(scores: Tensor, empty: float = 0.0) -> ShapleyValues:
    """Return the exact Shapley values of the game v(S) = largest score in S, v(∅) = ``empty``, in O(N log N).

    With the scores in ascending order and s_(0) = v(∅) the game is a sum of steps: S gains s_(j) − s_(j−1) as soon as
    it holds one of the N − j + 1 instances ranked j or higher, which therefore share the step equally (the airport game
    of Littlechild and Owen 1973):

    ``φ_(k) = Σ_{j≤k} (s_(j) − s_(j−1)) / (N − j + 1)``.

    The lowest step may be negative; nothing is assumed of ``empty``. Through a monotone output g the game g(v(S)) is
    the maximum of the g(s_i): pass those, and g(v(∅)).

    Args:
        scores: s, ``(N,)``, or ``(N, E)`` for E games at once.
        empty: value of the empty bag.

    Raises:
        ValueError: if the bag is empty or a number is not finite.

    Example:
        >>> max_shapley(torch.tensor([3.0, 1.0])).values
        tensor([2.5000, 0.5000], dtype=torch.float64)
    """
    scores = checked_scores(scores, empty, dimensions=(1, 2))
    ascending, order = scores.sort(dim=0, stable=True)
    steps = ascending.diff(dim=0, prepend=torch.full_like(ascending[:1], empty))
    sharers = torch.arange(len(scores), 0, -1, dtype=torch.float64, device=scores.device)
    shares = (steps / sharers.view(-1, *[1] * (scores.ndim - 1))).cumsum(dim=0)
    return shapley_values(torch.empty_like(scores).scatter_(0, order, shares), ascending[-1], empty)
