"""A bag as its pooling sees it: the model's value of its prefixes and subsets by algebra instead of calls.

Pooling by a weighted mean, a maximum or a log-mean-exp keeps a few running quantities, which are joined by adding, by
the larger, or by log-add-exp (:mod:`shared.mil.shapley.running_pooling`). What a set without one of its members would
pool is therefore what comes before it joined with what comes after it, for all members at once by one scan from either
side; and since nothing is subtracted, nothing cancels, however much one instance outweighs the others.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from shared.mil.levels import EmbeddingLevel
from shared.mil.pooling.log_mean_exp import LogMeanExpPooling
from shared.mil.pooling.maximum import MaxPooling
from shared.mil.pooling.mean import MeanPooling
from shared.mil.shapley.prefix_values import PooledPrefixes
from shared.mil.shapley.running_pooling import (
    RunningLogMeanExp,
    RunningMax,
    RunningPair,
    RunningPooling,
    RunningWeightedMean,
)
from shared.saliency.bags.attention_layers import as_attention, as_attention_maximum
from shared.saliency.bags.bag_model import BagModel

__all__ = ["PooledBag"]

NUMBERS = 1 << 22

Output = Literal["logit", "probability"]


class PooledBag:
    """One bag, encoded once, whose subsets are valued by algebra.

    The value is the target's logit, or its probability (sigmoid of the only logit, or softmax of several). The empty
    bag has the bias of the head's last layer as its logits.

    Args:
        model: with attention, gated attention, mean, max or log-mean-exp pooling, or attention with the maximum
            beside it, at either level.
        features: of the instances, ``(N, …)``, float64.
        output: what is the value.

    Attributes:
        size: number of instances, N.
        empty: value of the empty bag.

    Raises:
        TypeError: if the pooling is another.
        ValueError: if the head does not end in a linear layer, whose bias would stand for the empty bag.
    """

    @torch.no_grad()
    def __init__(self, model: BagModel, features: Tensor, output: Output = "logit") -> None:
        instances = model.instances(features)
        self.size = len(instances)
        self._value = _value(model.target, output)
        self.empty = float(self._value(model.empty_logits()[None])[0])
        self._running, self._after = _parts(model, instances)

    @torch.no_grad()
    def prefixes(self, orders: Tensor) -> Tensor:
        """Return the values of the first 0, 1, … N instances of orders ``(P, N)``, ``(P, N + 1)``."""
        return PooledPrefixes(self._running, self._of_pooled, self.empty)(orders)

    @torch.no_grad()
    def leave_one_out(self) -> Tensor:
        """Return ``v(all) − v(all without i)``, ``(N,)``."""
        everyone = torch.ones(1, self.size, dtype=torch.bool, device=self._running.rows.device)
        return self.marginal_contributions(everyone)[0]

    @torch.no_grad()
    def marginal_contributions(self, subsets: Tensor) -> Tensor:
        """Return ``v(S ∪ i) − v(S without i)`` of every instance i to every subset S.

        Args:
            subsets: boolean ``(M, N)``, true for the members of S; i may be one of them.

        Returns:
            ``(M, N)``, float64.
        """
        rows = self._running.rows
        blocks = subsets.split(max(NUMBERS // rows.numel(), 1))
        return torch.cat([self._block_contributions(rows, block) for block in blocks])

    def _block_contributions(self, rows: Tensor, subsets: Tensor) -> Tensor:
        running = self._running
        members = torch.where(subsets[..., None], rows, running.neutral)  # (M, N, R)
        nobody = running.neutral.expand_as(members[:, :1])
        earlier = torch.cat([nobody, running.scan(members[:, :-1])], dim=1)
        later = torch.cat([nobody, running.scan(members[:, 1:].flip(1))], dim=1).flip(1)
        without = running.join(earlier, later)
        others = subsets.sum(dim=1, keepdim=True) - subsets.long()  # (M, N)
        added = self._of_quantities(running.join(without, rows.expand_as(without)), others + 1)
        return added - torch.where(others > 0, self._of_quantities(without, others), self.empty)

    def _of_quantities(self, quantities: Tensor, counts: Tensor) -> Tensor:
        """Return the values ``(M, N)`` of sets with these running quantities ``(M, N, R)`` and sizes ``(M, N)``."""
        return self._of_pooled(self._running.pooled(quantities, counts).flatten(0, 1)).view(counts.shape)

    def _of_pooled(self, pooled: Tensor) -> Tensor:
        return self._value(self._after(pooled))


def _parts(model: BagModel, instances: Tensor) -> tuple[RunningPooling, Callable[[Tensor], Tensor]]:
    """Return what pools sets of the instances ``(N, D)``, and the logits ``(P, K)`` of what it pools, ``(P, E)``."""
    pooling = model.pooling
    # a weighted mean commutes with an affine head: K scores are all that is needed of an instance
    linear = model.linear_head() if isinstance(model.level, EmbeddingLevel) else None
    attention, both = as_attention(pooling), as_attention_maximum(pooling)
    if both is not None:
        weights, size = both.attention.attend(instances), instances.shape[1]
        if linear is not None:
            of_maximum = both.gain * linear.weight  # (K, D)
            running = RunningPair(RunningWeightedMean(linear(instances), weights), RunningMax(instances))
            return running, lambda pooled: pooled[:, :-size] + pooled[:, -size:] @ of_maximum.T
        running = RunningPair(RunningWeightedMean(instances, weights), RunningMax(instances))
        return running, lambda pooled: model.after(both.combine(pooled[:, :size], pooled[:, size:]))
    if attention is not None or type(pooling) is MeanPooling:
        logits = None if attention is None else attention.attend(instances)
        if linear is not None:
            return RunningWeightedMean(linear(instances), logits), lambda scores: scores
        return RunningWeightedMean(instances, logits), model.after
    if type(pooling) is MaxPooling:
        return RunningMax(instances), model.after
    if type(pooling) is LogMeanExpPooling:
        return RunningLogMeanExp(instances, pooling.r), model.after
    raise TypeError(
        f"no algebra of subsets for {type(pooling).__name__}: known are attention, mean, max, log-mean-exp, and "
        "attention with the maximum"
    )


def _value(target: int, output: Output) -> Callable[[Tensor], Tensor]:
    """Return the function from logits ``(P, K)`` to values ``(P,)``."""
    if output not in ("logit", "probability"):
        raise ValueError(f"output must be 'logit' or 'probability', found {output!r}")
    if output == "logit":
        return lambda logits: logits[:, target]
    return lambda logits: logits[:, 0].sigmoid() if logits.shape[1] == 1 else logits.softmax(dim=1)[:, target]
