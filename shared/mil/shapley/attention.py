"""Exact Shapley values of the instances under attention pooling."""

from __future__ import annotations

import torch
from torch import Tensor

from shared.mil.shapley.log_weight_grid import LogWeightGrid
from shared.mil.shapley.random_subsets import RandomSubsets
from shared.mil.shapley.result import ShapleyValues, checked_scores, shapley_values

__all__ = ["attention_shapley"]


@torch.no_grad()
def attention_shapley(scores: Tensor, logits: Tensor, empty: float = 0.0) -> ShapleyValues:
    """Return the exact Shapley values of v(S) = Σ_{k∈S} w_k s_k / Σ_{k∈S} w_k, w = e^a, v(∅) = ``empty``, in O(N).

    Removing an instance takes it out of the softmax as well: the weights of the others grow. With the notation of
    :mod:`shared.mil.shapley.random_subsets`, ``1/x = ∫₀^∞ e^{−λx} dλ`` in the expected marginal contribution gives

    ``φ_i = ∫₀¹∫₀^∞ P/q_i [w_i s_i z_i − (1 − z_i) t (R − R_i)] dλ dt − v(∅)/N``,
    ``P = Π_k q_k``, ``R = Σ_k R_k``, ``R_k = w_k s_k z_k / q_k``,

    in which instance i enters by its own score and weight only, beside sums over all:

    ``φ_i = s_i B(w_i) − A(w_i) − v(∅)/N``,
    ``B(w) = ∫∫ P w z/q² dλ dt``, ``A(w) = ∫∫ P R t (1 − z)/q dλ dt``.

    A and B are computed on a grid of ln w and interpolated, and the sums over the instances are taken on the same grid,
    which grows with the range of the logits and not with N. The error is some 1e-10 of the scores' spread.

    An instance of weight zero (logit −∞) is a dummy: its value is 0, and a bag of nothing else has the value of the
    empty one. A finite logit makes no dummy, however low: where no heavier instance is present this one decides. One
    that is far lighter than all others has the value (s_i − v(∅))/N.

    Args:
        scores: s, ``(N,)``.
        logits: a, logarithms of the unnormalised weights, ``(N,)``; any range, −∞ permitted.
        empty: value of the empty bag.

    Raises:
        ValueError: if the bag is empty, has no weight, the shapes differ, or a number is not finite.

    Example:
        >>> attention_shapley(torch.tensor([3.0, 1.0]), torch.tensor([0.0, 1.0])).values.numpy().round(6)
        array([ 1.768941, -0.231059])
    """
    scores = checked_scores(scores, empty)
    logits = logits.detach().to(scores)
    if logits.shape != scores.shape:
        raise ValueError(f"expected as many logits as scores, found {tuple(logits.shape)} and {tuple(scores.shape)}")
    if bool((logits.isnan() | logits.isposinf()).any()):
        raise ValueError(
            "attention logits must be finite, or minus infinity for an instance without weight; found NaN or infinity"
        )
    present = ~logits.isneginf()
    if not bool(present.any()):
        raise ValueError("no instance has any weight: all attention logits are minus infinity")
    values = torch.zeros_like(scores)
    values[present] = _values(scores[present], logits[present], empty)
    return shapley_values(values, logits.softmax(dim=0) @ scores, empty)


def _values(scores: Tensor, logits: Tensor, empty: float) -> Tensor:
    """Return φ of instances that all have weight, ``(N,)``."""
    centre = scores.mean()
    scores, empty = scores - centre, empty - float(centre)
    grid = LogWeightGrid(logits)
    instances = grid.sum_weights(torch.ones_like(scores))
    summed_scores = grid.sum_weights(scores)
    a, b = torch.zeros_like(grid.nodes), torch.zeros_like(grid.nodes)
    for subsets in RandomSubsets.blocks(len(scores), grid.nodes):
        t, power, z, q = subsets.t, subsets.power, subsets.z, subsets.q
        nothing = torch.zeros_like(t)
        product = subsets.sum_over_instances(subsets.log_q, instances, subsets.absent.log()).exp()  # P, (T, J)
        weighted = subsets.sum_over_instances(power * z / q, summed_scores, nothing)  # λ R, (T, J)
        measure = subsets.measure * product
        a += subsets.integrate(t * (1 - z) / q, measure * weighted, t / subsets.absent)
        b += subsets.integrate(power * z / q.square(), measure, nothing)
    a_of_instance, b_of_instance = grid.interpolate(torch.stack([a, b], dim=1)).unbind(dim=1)
    return scores * b_of_instance - a_of_instance - empty / len(scores)
