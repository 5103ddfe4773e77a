"""Bag classifiers on embeddings: where the pooling stands, before the head or after it."""

from __future__ import annotations

import torch
from torch import nn

from shared.mil.pooling.base import Pooling, WeightedPooling, ragged_batch, scatter_to_padded

__all__ = ["EmbeddingLevel", "InstanceLevel"]


class EmbeddingLevel(nn.Module):
    """Pools the embeddings, then classifies the pooled one: ``logits = head(pooling({h_i}))``.

    The bag is judged as a whole; what an instance says by itself is not defined.

    Args:
        pooling: maps ``(T, E)`` to ``(B, E)``.
        head: maps ``(B, E)`` to logits ``(B, K)``.
    """

    def __init__(self, pooling: Pooling, head: nn.Module) -> None:
        super().__init__()
        self.pooling = pooling
        self.head = head

    def forward(
        self, embeddings: torch.Tensor, lengths: torch.Tensor | None = None, mask: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Classify each bag.

        Args:
            embeddings: ``(T, E)`` with ``lengths``, else ``(B, N, E)``; see :class:`~shared.mil.pooling.base.Pooling`.
            lengths: instances of each bag, ``(B,)``, int64.
            mask: true where there is an instance, ``(B, N)``.

        Returns:
            Logits ``(B, K)``.

        Raises:
            ValueError: if a bag is empty, or shapes, lengths and mask do not fit together.
        """
        return self.head(self.pooling(embeddings, lengths, mask))

    def instance_weights(
        self, embeddings: torch.Tensor, lengths: torch.Tensor | None = None, mask: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return the pooling's weight of each instance, ``(T,)`` or ``(B, N)``; arguments as in :meth:`forward`.

        Raises:
            TypeError: if the pooling is no weighted mean of its instances.
        """
        if not isinstance(self.pooling, WeightedPooling):
            raise TypeError(f"{type(self.pooling).__name__} has no weight for each instance")
        return self.pooling.instance_weights(embeddings, lengths, mask)


class InstanceLevel(nn.Module):
    """Classifies each instance, then pools the logits: ``logits = pooling({head(h_i)})``.

    The head never sees padding.

    Args:
        head: maps ``(T, E)`` to instance logits ``(T, K)``.
        pooling: maps ``(T, K)`` to ``(B, K)``.
    """

    def __init__(self, head: nn.Module, pooling: Pooling) -> None:
        super().__init__()
        self.head = head
        self.pooling = pooling

    def forward(
        self, embeddings: torch.Tensor, lengths: torch.Tensor | None = None, mask: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Classify each bag; arguments, result and errors are those of :meth:`EmbeddingLevel.forward`."""
        flat, sizes = ragged_batch(embeddings, lengths, mask)
        return self.pooling(self.head(flat), sizes, None)

    def instance_logits(
        self, embeddings: torch.Tensor, lengths: torch.Tensor | None = None, mask: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return the logits of each instance, ``(T, K)``, or ``(B, N, K)`` with NaN where there is no instance."""
        flat, _ = ragged_batch(embeddings, lengths, mask)
        logits = self.head(flat)
        return logits if lengths is not None else scatter_to_padded(logits, embeddings, mask, float("nan"))
