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

__all__ = ["RunningLogMeanExp", "RunningMax", "RunningPair", "RunningPooling", "RunningWeightedMean"]

# e^−600 is far from the smallest number of float64, also times a small embedding
WIDEST = 600.0


class RunningPooling(ABC):
    """Pools sets of instances by quantities that are joined when sets are: sums, maxima, or logarithms of sums.

    Attributes:
        rows: the quantities of each instance by itself, float64, ``(N, R)``.
        neutral: those of no instance, ``(R,)``.
        embedding: dimensions E of what is pooled.
    """

    rows: Tensor
    neutral: Tensor
    embedding: int

    @abstractmethod
    def scan(self, rows: Tensor) -> Tensor:
        """Return the quantities of the first, the first two, … of rows ``(P, C, R)``, ``(P, C, R)``."""

    @abstractmethod
    def join(self, first: Tensor, second: Tensor) -> Tensor:
        """Return the quantities of the union of disjoint sets with the quantities ``(…, R)`` each."""

    @abstractmethod
    def pooled(self, quantities: Tensor, counts: Tensor) -> Tensor:
        """Return what is pooled of sets, ``(…, E)``, by their quantities ``(…, R)`` and numbers of members ``(…)``."""

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
        quantities = self.scan(self.rows[orders])  # (P, C, R)
        if carried is not None:
            quantities = self.join(quantities, carried[:, None])
        counts = torch.arange(done + 1, done + orders.shape[1] + 1, device=orders.device)
        return self.pooled(quantities, counts), quantities[:, -1].clone()


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
        self.neutral = torch.zeros_like(self.rows[0])
        self.embedding = rows.shape[1]

    def scan(self, rows: Tensor) -> Tensor:
        """See :meth:`RunningPooling.scan`."""
        return rows.cumsum(dim=1)

    def join(self, first: Tensor, second: Tensor) -> Tensor:
        """See :meth:`RunningPooling.join`."""
        return first + second

    def pooled(self, quantities: Tensor, counts: Tensor) -> Tensor:  # noqa: ARG002
        """See :meth:`RunningPooling.pooled`."""
        return quantities[..., :-1] / quantities[..., -1:]


class RunningMax(RunningPooling):
    """Max pooling: the largest of each dimension.

    Args:
        embeddings: h, ``(N, E)``.
    """

    def __init__(self, embeddings: Tensor) -> None:
        self.rows = _checked(embeddings)
        self.neutral = torch.full_like(self.rows[0], -math.inf)
        self.embedding = self.rows.shape[1]

    def scan(self, rows: Tensor) -> Tensor:
        """See :meth:`RunningPooling.scan`."""
        # torch has no cummax of nothing
        return rows.cummax(dim=1).values if rows.shape[1] else rows

    def join(self, first: Tensor, second: Tensor) -> Tensor:
        """See :meth:`RunningPooling.join`."""
        return torch.maximum(first, second)

    def pooled(self, quantities: Tensor, counts: Tensor) -> Tensor:  # noqa: ARG002
        """See :meth:`RunningPooling.pooled`."""
        return quantities


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
        self.neutral = torch.full_like(self.rows[0], -math.inf)
        self.embedding = self.rows.shape[1]

    def scan(self, rows: Tensor) -> Tensor:
        """See :meth:`RunningPooling.scan`."""
        return rows.logcumsumexp(dim=1)

    def join(self, first: Tensor, second: Tensor) -> Tensor:
        """See :meth:`RunningPooling.join`."""
        return torch.logaddexp(first, second)

    def pooled(self, quantities: Tensor, counts: Tensor) -> Tensor:
        """See :meth:`RunningPooling.pooled`."""
        return (quantities - counts[..., None].to(quantities).log()) / self.r


class RunningPair(RunningPooling):
    """Two poolings of the same instances beside each other: what both pool, one after the other in each row.

    Args:
        first: whose embedding comes first.
        second: whose embedding comes last.
    """

    def __init__(self, first: RunningPooling, second: RunningPooling) -> None:
        self._parts = (first, second)
        self._widths = (first.rows.shape[1], second.rows.shape[1])
        self.rows = torch.cat([first.rows, second.rows], dim=1)
        self.neutral = torch.cat([first.neutral, second.neutral])
        self.embedding = first.embedding + second.embedding

    def scan(self, rows: Tensor) -> Tensor:
        """See :meth:`RunningPooling.scan`."""
        first, second = rows.split(self._widths, dim=-1)
        return torch.cat([self._parts[0].scan(first), self._parts[1].scan(second)], dim=-1)

    def join(self, first: Tensor, second: Tensor) -> Tensor:
        """See :meth:`RunningPooling.join`."""
        pairs = zip(self._parts, first.split(self._widths, dim=-1), second.split(self._widths, dim=-1), strict=True)
        return torch.cat([part.join(one, other) for part, one, other in pairs], dim=-1)

    def pooled(self, quantities: Tensor, counts: Tensor) -> Tensor:
        """See :meth:`RunningPooling.pooled`."""
        pairs = zip(self._parts, quantities.split(self._widths, dim=-1), strict=True)
        return torch.cat([part.pooled(own, counts) for part, own in pairs], dim=-1)


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
