"""Shapley values of instances by random subsets."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from shared.saliency.bags.bag_model import BagModel, full_precision
from shared.saliency.bags.base import BagAttribution
from shared.saliency.bags.pooled_bag import PooledBag

__all__ = ["SubsetEstimate", "SubsetShapley", "random_subsets"]

BLOCK = 64


class SubsetEstimate(NamedTuple):
    """Estimated values of the instances of a bag.

    Attributes:
        values: ``(N,)``.
        standard_errors: of the values, ``(N,)``; those of different instances are not independent.
    """

    values: Tensor
    standard_errors: Tensor


class SubsetShapley(BagAttribution):
    """Mean marginal contribution over M random subsets: ``φ_i = 1/M Σ_j [f(S_j ∪ i) − f(S_j without i)]``.

    A Shapley value is the mean over the subsets of the *other* instances whose size is uniform on 0 … N − 1. Subsets
    whose members are drawn with probability ½ would give Banzhaf values. Here the size of S_j among all N instances is
    drawn first, uniformly on 0 … N. What is left of it without i then has k members with probability
    ``[(N − k)/N + (k + 1)/N] / (N + 1) = 1/N``: one subset serves all instances, and costs O(N).

    Args:
        model: bag classifier with one of the poolings that :class:`~shared.saliency.bags.pooled_bag.PooledBag` knows.
        target: index of the logit f.
        subsets: number M of subsets, at least 2.
        seed: seed of the subsets; the global random state is neither read nor changed.

    Raises:
        ValueError: if there are fewer than two subsets.
    """

    def __init__(self, model: nn.Module, target: int = 0, subsets: int = 100, seed: int = 0) -> None:
        super().__init__(model, target)
        if subsets < 2:
            raise ValueError(f"a mean with a standard error takes at least 2 subsets, found {subsets}")
        self.subsets = subsets
        self.seed = seed

    def estimate(self, features: Tensor) -> SubsetEstimate:
        """Return the values of one bag, as :meth:`attribute`, with their standard errors."""
        with full_precision(features):
            return self._estimate(*self._prepared(features))

    def _attribute(self, model: BagModel, features: Tensor) -> Tensor:
        return self._estimate(model, features).values

    def _estimate(self, model: BagModel, features: Tensor) -> SubsetEstimate:
        bag = PooledBag(model, features)
        generator = torch.Generator().manual_seed(self.seed)
        total = features.new_zeros(len(features))
        squares, shift = torch.zeros_like(total), None
        for start in range(0, self.subsets, BLOCK):
            subsets = random_subsets(min(BLOCK, self.subsets - start), len(features), generator).to(features.device)
            samples = bag.marginal_contributions(subsets)
            # deviations from a value of the right size: their squares do not cancel
            shift = samples.mean(dim=0) if shift is None else shift
            total += (samples - shift).sum(dim=0)
            squares += (samples - shift).square().sum(dim=0)
        assert shift is not None
        mean = total / self.subsets
        variance = (squares / self.subsets - mean.square()).clamp(min=0) / (self.subsets - 1)
        return SubsetEstimate(shift + mean, variance.sqrt())


def random_subsets(count: int, instances: int, generator: torch.Generator) -> Tensor:
    """Return random subsets, boolean ``(M, N)``: first the size, uniformly on 0 … N, then the members.

    Args:
        count: M.
        instances: N.
        generator: of the draws, on the CPU.
    """
    sizes = torch.randint(instances + 1, (count, 1), generator=generator)
    order = torch.rand(count, instances, generator=generator, dtype=torch.float64).argsort(dim=1)
    first = torch.arange(instances) < sizes
    return torch.zeros(count, instances, dtype=torch.bool).scatter_(1, order, first)
