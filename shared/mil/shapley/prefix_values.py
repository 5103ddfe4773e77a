"""Values of every prefix of an order of the instances: what permutation sampling asks of a model."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from shared.mil.shapley.running_pooling import RunningPooling

__all__ = ["MaskedPrefixes", "PooledPrefixes"]

NUMBERS = 1 << 22


class PooledPrefixes:
    """Any function of a pooled embedding: N prefixes cost one running sum and N evaluations of the function.

    Args:
        pooling: pools the prefixes.
        function: ``f(pooled (P, E)) -> (P,)``, fed float64; evaluated on whole batches.
        empty: value of the empty bag.
        numbers: how many numbers of pooled embeddings to hold at once: bounds the memory, 8 bytes each and a few times
            over, whatever the size of the bag.

    Example:
        >>> from shared.mil.shapley.running_pooling import RunningWeightedMean
        >>> mean = RunningWeightedMean(torch.tensor([[3.0], [1.0]]))
        >>> PooledPrefixes(mean, lambda pooled: pooled[:, 0] ** 2)(torch.tensor([[0, 1], [1, 0]]))
        tensor([[0., 9., 4.],
                [0., 1., 4.]], dtype=torch.float64)
    """

    def __init__(
        self,
        pooling: RunningPooling,
        function: Callable[[Tensor], Tensor],
        empty: float = 0.0,
        numbers: int = NUMBERS,
    ) -> None:
        self.pooling, self.function, self.empty, self.numbers = pooling, function, empty, numbers

    def __call__(self, orders: Tensor) -> Tensor:
        """Return v of the prefixes of 0 … C instances, ``(P, C + 1)``, of orders of C among N, ``(P, C)``."""
        values = torch.full((len(orders), orders.shape[1] + 1), self.empty, dtype=torch.float64, device=orders.device)
        held = max(self.numbers // self.pooling.embedding, 1)
        piece = min(orders.shape[1], held)
        for some_orders, some_values in zip(orders.split(held // piece), values.split(held // piece), strict=True):
            done, carried = 0, None
            for part in some_orders.split(piece, dim=1):
                pooled, carried = self.pooling.step(part, done, carried)  # (P, C, E)
                some_values[:, done + 1 : done + 1 + part.shape[1]] = _called(self.function, pooled)
                done += part.shape[1]
        return values


class MaskedPrefixes:
    """Any model of a bag: N prefixes cost N passes over the bag, for what has no running sum.

    Args:
        function: ``f(mask (P, N)) -> (P,)``, the values of the bag with only the marked instances, of which there is
            at least one.
        instances: N.
        empty: value of the empty bag.
        numbers: how many entries a mask may have.
    """

    def __init__(
        self, function: Callable[[Tensor], Tensor], instances: int, empty: float = 0.0, numbers: int = NUMBERS
    ) -> None:
        self.function, self.instances, self.empty, self.numbers = function, instances, empty, numbers

    def __call__(self, orders: Tensor) -> Tensor:
        """Return v of the prefixes of 0 … C instances, ``(P, C + 1)``, of orders of C among N, ``(P, C)``."""
        length = orders.shape[1]
        values = torch.full((len(orders), length + 1), self.empty, dtype=torch.float64, device=orders.device)
        sizes = torch.arange(1, length + 1, device=orders.device)
        for order, row in zip(orders, values, strict=True):
            places = order.new_full((self.instances,), length)
            places[order] = sizes - 1
            done = 0
            for some_sizes in sizes.split(max(self.numbers // self.instances, 1)):
                masks = places < some_sizes[:, None]  # (C, N)
                row[done + 1 : done + 1 + len(masks)] = _called(self.function, masks[None])[0]
                done += len(masks)
        return values


def _called(function: Callable[[Tensor], Tensor], arguments: Tensor) -> Tensor:
    """Return the function of each vector of ``(P, C, …)``, ``(P, C)``, checked."""
    values = function(arguments.flatten(0, 1))
    count = arguments.shape[0] * arguments.shape[1]
    if values.shape != (count,):
        raise ValueError(f"the function must return one value for each row, ({count},), found {tuple(values.shape)}")
    return values.detach().to(torch.float64).view(arguments.shape[:2])
