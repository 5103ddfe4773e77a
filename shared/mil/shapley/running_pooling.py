"""Pooled embeddings of every prefix of an order of the instances, by one running sum instead of one pass per prefix.

All classes take the embeddings of one bag and give, for P orders at once, what is pooled of the first, the first two,
… instances. They go through the orders in pieces and carry their sums from one piece to the next, so that the memory
needed does not depend on the size of the bag.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor

from shared.mil.shapley.log_weight_grid import narrow_gaps

__all__ = ["RunningLogMeanExp", "RunningMax", "RunningPooling", "RunningWeightedMean"]

# e^−600 is far from the smallest number of float64, also times a small embedding
WIDEST = 600.0


class RunningPooling(ABC):
    """Pools the prefixes of orders.

    Attributes:
        rows: what is accumulated of each instance, float64, ``(N, …)``.
        embedding: dimensions E of what is pooled.
    """

    rows: Tensor
    embedding: int

    @abstractmethod
    def step(self, orders: Tensor, done: int, carried: Tensor | None) -> tuple[Tensor, Tensor]:
        """Pool the next prefixes.

        Args:
            orders: the next instances of each order, ``(P, C)``.
            done: number of instances before these.
            carried: what the last step returned, ``None`` at the first.

        Returns:
            Pooled embeddings of the prefixes of ``done + 1`` to ``done + C`` instances, ``(P, C, E)``, and what to
            carry to the next step.
        """


class RunningWeightedMean(RunningPooling):
    """Mean or attention pooling: ``Σ_{k≤m} w_k h_k / Σ_{k≤m} w_k``.

    Args:
        embeddings: h, ``(N, E)``.
        logits: ln w up to a constant, finite, ``(N,)``; ``None`` for equal weights.

    Raises:
        ValueError: if the shapes differ, a logit is not finite, or the weights span more than float64 can add up.
    """

    def __init__(self, embeddings: Tensor, logits: Tensor | None = None) -> None:
        rows = _checked(embeddings)
        weights = rows.new_ones(len(rows), 1)
        if logits is not None:
            weights = _weights(logits.detach().to(rows), len(rows))
        self.rows = torch.cat([weights * rows, weights], dim=1)  # (N, E + 1)
        self.embedding = rows.shape[1]

    def step(self, orders: Tensor, done: int, carried: Tensor | None) -> tuple[Tensor, Tensor]:  # noqa: ARG002
        """See :meth:`RunningPooling.step`."""
        sums = self.rows[orders].cumsum(dim=1)  # (P, C, E + 1)
        if carried is not None:
            sums += carried[:, None]
        return sums[..., :-1] / sums[..., -1:], sums[:, -1].clone()


class RunningMax(RunningPooling):
    """Max pooling: the largest of each dimension.

    Args:
        embeddings: h, ``(N, E)``.
    """

    def __init__(self, embeddings: Tensor) -> None:
        self.rows = _checked(embeddings)
        self.embedding = self.rows.shape[1]

    def step(self, orders: Tensor, done: int, carried: Tensor | None) -> tuple[Tensor, Tensor]:  # noqa: ARG002
        """See :meth:`RunningPooling.step`."""
        largest = self.rows[orders].cummax(dim=1).values  # (P, C, E)
        if carried is not None:
            largest = torch.maximum(largest, carried[:, None])
        return largest, largest[:, -1].clone()


class RunningLogMeanExp(RunningPooling):
    """Log-mean-exp pooling: ``1/r ln(1/m Σ_{k≤m} e^{r h_k})`` of each dimension.

    Args:
        embeddings: h, ``(N, E)``.
        r: sharpness, not 0.

    Raises:
        ValueError: if r is 0.
    """

    def __init__(self, embeddings: Tensor, r: float) -> None:
        if r == 0 or not math.isfinite(r):
            raise ValueError(f"r must be finite and not 0, found {r}")
        self.r = r
        self.rows = _checked(embeddings) * r
        self.embedding = self.rows.shape[1]

    def step(self, orders: Tensor, done: int, carried: Tensor | None) -> tuple[Tensor, Tensor]:
        """See :meth:`RunningPooling.step`."""
        sums = self.rows[orders].logcumsumexp(dim=1)  # (P, C, E)
        if carried is not None:
            sums = torch.logaddexp(sums, carried[:, None])
        counts = torch.arange(done + 1, done + orders.shape[1] + 1, dtype=sums.dtype, device=sums.device)
        return (sums - counts.log()[:, None]) / self.r, sums[:, -1].clone()


def _checked(embeddings: Tensor) -> Tensor:
    if embeddings.ndim != 2 or embeddings.numel() == 0:
        raise ValueError(f"expected the embeddings of one bag, (N, E), found shape {tuple(embeddings.shape)}")
    return embeddings.detach().to(torch.float64)


def _weights(logits: Tensor, instances: int) -> Tensor:
    """Return the weights, the largest 1, ``(N, 1)``."""
    if logits.shape != (instances,):
        raise ValueError(f"expected {instances} attention logits, found shape {tuple(logits.shape)}")
    if not bool(logits.isfinite().all()):
        raise ValueError("attention logits must be finite; leave out instances without weight: their value is 0")
    relative, _ = narrow_gaps(logits)
    if float(relative.min()) < -WIDEST:
        raise ValueError(
            f"the attention logits span {float(-relative.min()):.0f} without a gap; running sums in float64 hold "
            f"{WIDEST:.0f}"
        )
    return relative.exp()[:, None]
