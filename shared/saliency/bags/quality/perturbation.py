"""What happens to a bag's probability when instances are taken out or put in by the order of their values."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import torch
from torch import Tensor

__all__ = ["OrderedBag", "Perturbation", "descending_orders", "perturb"]

POINTS = 101


class OrderedBag(Protocol):
    """A bag whose instances can be put in one after another: :class:`~shared.saliency.bags.pooled_bag.PooledBag` is.

    Attributes:
        size: number of instances, N.
    """

    size: int

    def prefixes(self, orders: Tensor) -> Tensor:
        """Return the probability of the first 0, 1, … N instances of orders ``(P, N)``, ``(P, N + 1)``."""


class Perturbation(NamedTuple):
    """Perturbation curves of M rankings of one bag, and what is read off them.

    Attributes:
        drop: target probability after the share 0, 0.01, … 1 of the instances was dropped, the most relevant first,
            ``(M, 101)``.
        add: target probability of the share 0, 0.01, … 1 of the instances, the most relevant first, ``(M, 101)``.
        aupc_drop: mean of each ``drop`` curve, ``(M,)``; low is good.
        aupc_add: mean of each ``add`` curve, ``(M,)``; high is good.
        aopc: area over the perturbation curve, ``(M,)``; NaN for a bag of one instance.
    """

    drop: Tensor
    add: Tensor
    aupc_drop: Tensor
    aupc_add: Tensor
    aopc: Tensor


def perturb(bag: OrderedBag, orders: Tensor) -> Perturbation:
    """Perturb a bag along several orders of its instances.

    - AUPC (Hense et al. 2024, "xMIL"): the mean of the curve at 101 points. Point j has ``⌊jN/100 + ½⌋`` instances
      dropped or added, by rank; the empty bag has its declared probability.
    - AOPC (Samek et al. 2017; for bags Early, Evers and Ramchurn 2022):
      ``1/(N − 1) Σ_{k=1}^{N−1} [F(X) − F(X without the k first)]``.

    The values of all N + 1 prefixes of an order come from one scan of running sums, and what is left after dropping the
    k first is a prefix of the order's reverse: the model is called once for each bag, when ``bag`` was made.

    Args:
        bag: whose values are probabilities.
        orders: of the instances, most relevant first, ``(M, N)``.
    """
    forth, back = bag.prefixes(torch.cat([orders, orders.flip(1)])).chunk(2)  # (M, N + 1) each
    left = back.flip(1)  # after dropping k = 0 … N
    points = (torch.arange(POINTS, device=orders.device) * bag.size + (POINTS - 1) // 2) // (POINTS - 1)
    drop, add = left[:, points], forth[:, points]
    aopc = (left[:, :1] - left[:, 1 : bag.size]).mean(dim=1)
    return Perturbation(drop, add, drop.mean(dim=1), add.mean(dim=1), aopc)


def descending_orders(values: Tensor, seed: int = 0) -> Tensor:
    """Return the order of instances by descending value, ``(M, N)``, of values ``(M, N)``.

    Instances of equal value are shuffled, in the same way in every row: kept in the order in which they were read from
    a slide, they would fall together.
    """
    generator = torch.Generator().manual_seed(seed)
    shuffled = torch.randperm(values.shape[1], generator=generator).to(values.device)
    return shuffled[values[:, shuffled].argsort(dim=1, descending=True, stable=True)]
