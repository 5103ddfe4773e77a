"""What every Shapley computation returns, and the check of what it is given."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["ShapleyValues", "checked_scores", "shapley_values"]


class ShapleyValues(NamedTuple):
    """Shapley values of the instances of one bag.

    Attributes:
        values: φ in float64, in the unit of the game, ``(N,)``; ``(N, E)`` where E games were solved at once.
        efficiency_gap: |Σ_i φ_i − (v(all) − v(∅))|, the largest of the E games; what is left of it measures the
            numerical error.
        standard_errors: of each sampled value, as ``values``; ``None`` for an exact method.
        permutations: number of permutations sampled; ``None`` for an exact method.
    """

    values: Tensor
    efficiency_gap: float
    standard_errors: Tensor | None = None
    permutations: int | None = None


def shapley_values(values: Tensor, whole: Tensor, empty: float) -> ShapleyValues:
    """Return exact values with their efficiency gap.

    Args:
        values: φ, ``(N,)`` or ``(N, E)``.
        whole: v(all), ``()`` or ``(E,)``.
        empty: v(∅).
    """
    return ShapleyValues(values, float((values.sum(dim=0) - (whole - empty)).abs().max()))


def checked_scores(scores: Tensor, empty: float, dimensions: tuple[int, ...] = (1,)) -> Tensor:
    """Return the scores in float64 without gradient.

    Args:
        scores: of the instances, ``(N,)``, or ``(N, E)`` where ``dimensions`` has 2.
        empty: value of the empty bag.
        dimensions: permitted numbers of dimensions.

    Raises:
        ValueError: if the shape is another, the bag is empty, or a number is not finite.
    """
    if scores.ndim not in dimensions:
        expected = " or ".join({1: "(N,)", 2: "(N, E)"}[number] for number in dimensions)
        raise ValueError(f"expected the scores of one bag, {expected}, found shape {tuple(scores.shape)}")
    if scores.numel() == 0:
        raise ValueError(f"scores of shape {tuple(scores.shape)}: an empty bag has no instances to share its value")
    if not math.isfinite(empty):
        raise ValueError(f"the value of the empty bag must be finite, found {empty}")
    scores = scores.detach().to(torch.float64)
    if not bool(scores.isfinite().all()):
        row = int((~scores.isfinite()).reshape(len(scores), -1).any(dim=1).nonzero()[0])
        raise ValueError(f"scores must be finite, found NaN or infinity at instance {row}")
    return scores
