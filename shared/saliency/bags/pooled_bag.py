"""A bag as its pooling sees it: the model's value of its prefixes and subsets by algebra instead of calls.

Pooling by a weighted mean, a maximum or a log-mean-exp keeps a few running quantities, which are joined by adding, by
the larger, or by log-add-exp. What a set without one of its members would pool is therefore what comes before it
joined with what comes after it, for all members at once by one scan from either side; and since nothing is subtracted,
nothing cancels, however much one instance outweighs the others.
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
from shared.mil.shapley.running_pooling import RunningLogMeanExp, RunningMax, RunningPooling, RunningWeightedMean
from shared.saliency.bags.attention_layers import as_attention
from shared.saliency.bags.bag_model import BagModel

__all__ = ["PooledBag"]

NUMBERS = 1 << 22

Output = Literal["logit", "probability"]


class PooledBag:
    """One bag, encoded once, whose subsets are valued by algebra.

    The value is the target's logit, or its probability (sigmoid of the only logit, or softmax of several). The empty
    bag has the bias of the head's last layer as its logits.

    Args:
        model: with attention, gated attention, mean, max or log-mean-exp pooling, at either level.
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
        self._after: Callable[[Tensor], Tensor] = model.after
        pooled = instances
        linear = model.linear_head()
        if isinstance(model.level, EmbeddingLevel) and linear is not None and _is_weighted_mean(model):
            # a weighted mean commutes with an affine head: K scores are all that is needed of an instance
            pooled, self._after = linear(instances), lambda scores: scores
        self._running = _running_pooling(model, pooled, instances)

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
        rows = self._running.rows.view(self.size, -1)
        blocks = subsets.split(max(NUMBERS // rows.numel(), 1))
        return torch.cat([self._block_contributions(rows, block) for block in blocks])

    def _block_contributions(self, rows: Tensor, subsets: Tensor) -> Tensor:
        scan, join, neutral = self._algebra()
        members = torch.where(subsets[..., None], rows, neutral)  # (M, N, D)
        nobody = torch.full_like(members[:, :1], neutral)
        earlier = torch.cat([nobody, scan(members[:, :-1])], dim=1)
        later = torch.cat([nobody, scan(members[:, 1:].flip(1))], dim=1).flip(1)
        without = join(earlier, later)
        others = subsets.sum(dim=1, keepdim=True) - subsets.long()  # (M, N)
        added = self._of_sums(join(without, rows.expand_as(without)), others + 1)
        return added - torch.where(others > 0, self._of_sums(without, others), self.empty)

    def _algebra(self) -> tuple[Callable[[Tensor], Tensor], Callable[[Tensor, Tensor], Tensor], float]:
        """Return how running quantities ``(M, N, D)`` are scanned along N, how two are joined, and those of nothing."""
        if isinstance(self._running, RunningWeightedMean):
            return lambda rows: rows.cumsum(dim=1), torch.add, 0.0
        if isinstance(self._running, RunningMax):
            return _running_max, torch.maximum, -float("inf")
        return lambda rows: rows.logcumsumexp(dim=1), torch.logaddexp, -float("inf")

    def _of_sums(self, sums: Tensor, counts: Tensor) -> Tensor:
        """Return the values ``(M, N)`` of sets with these running quantities ``(M, N, D)`` and sizes ``(M, N)``."""
        running = self._running
        if isinstance(running, RunningWeightedMean):
            pooled = sums[..., :-1] / sums[..., -1:]
        elif isinstance(running, RunningLogMeanExp):
            pooled = (sums - counts[..., None].to(sums).log()) / running.r
        else:
            pooled = sums
        return self._of_pooled(pooled.flatten(0, 1)).view(counts.shape)

    def _of_pooled(self, pooled: Tensor) -> Tensor:
        return self._value(self._after(pooled))


def _is_weighted_mean(model: BagModel) -> bool:
    return type(model.pooling) is MeanPooling or as_attention(model.pooling) is not None


def _running_pooling(model: BagModel, pooled: Tensor, instances: Tensor) -> RunningPooling:
    """Return the running form of the pooling of ``pooled`` ``(N, D)`` that looks at ``instances``."""
    pooling, attention = model.pooling, as_attention(model.pooling)
    if attention is not None:
        return RunningWeightedMean(pooled, attention.attend(instances))
    if type(pooling) is MeanPooling:
        return RunningWeightedMean(pooled)
    if type(pooling) is MaxPooling:
        return RunningMax(pooled)
    if type(pooling) is LogMeanExpPooling:
        return RunningLogMeanExp(pooled, pooling.r)
    raise TypeError(f"no algebra of subsets for {type(pooling).__name__}: known are attention, mean, max, log-mean-exp")


def _value(target: int, output: Output) -> Callable[[Tensor], Tensor]:
    """Return the function from logits ``(P, K)`` to values ``(P,)``."""
    if output not in ("logit", "probability"):
        raise ValueError(f"output must be 'logit' or 'probability', found {output!r}")
    if output == "logit":
        return lambda logits: logits[:, target]
    return lambda logits: logits[:, 0].sigmoid() if logits.shape[1] == 1 else logits.softmax(dim=1)[:, target]


def _running_max(rows: Tensor) -> Tensor:
    # torch has no cummax of nothing
    return rows.cummax(dim=1).values if rows.shape[1] else rows
