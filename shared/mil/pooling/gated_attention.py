"""Gated attention-based pooling."""

from __future__ import annotations

import torch
from torch import nn

from shared.mil.pooling.attention import AttentionPooling

__all__ = ["GatedAttentionPooling"]


class GatedAttentionPooling(AttentionPooling):
    """Attention pooling with a gate (Ilse, Tomczak and Welling 2018, equations 7 and 9).

    As :class:`~shared.mil.pooling.attention.AttentionPooling`, with
    ``a_i = vᵀ [tanh(V h_i + c) ⊙ σ(U h_i + d)]``: tanh is nearly linear around 0, and the gate makes up for it.

    Args:
        embedding: dimensions of an instance, E.
        hidden: dimensions of the attention's hidden layer.
    """

    def __init__(self, embedding: int, hidden: int = 128) -> None:
        super().__init__(embedding, hidden)
        self.gate = nn.Sequential(nn.Linear(embedding, hidden), nn.Sigmoid())

    def logits(self, instances: torch.Tensor) -> torch.Tensor:
        """Return the attention logits ``(T,)`` of instances ``(T, E)`` in the precision of the weights."""
        return self.score(self.hidden(instances) * self.gate(instances)).squeeze(1)
