"""Attention-based pooling with the maximum beside it."""

from __future__ import annotations

import torch
from torch import nn

from shared.mil.pooling.base import Pooling
from shared.mil.pooling.gated_attention import GatedAttentionPooling
from shared.mil.ragged import segment_max

__all__ = ["AttentionMaximumPooling"]


class AttentionMaximumPooling(Pooling):
    """Gated attention for evidence that is everywhere, the maximum for evidence in one instance of ten thousand.

    ``z_k = Σ_i w_i h_ik + g_k max_i h_ik``, with the weights w of
    :class:`~shared.mil.pooling.gated_attention.GatedAttentionPooling` (Ilse, Tomczak and Welling 2018, equations 7 and
    9) and a learned gain g.

    Before anything is learned the attention is nearly uniform, and one instance among N has the share 1/N of the pooled
    embedding and of its gradient: too little to be found before the training bags are learned by heart. The maximum
    passes the whole gradient to the instance that stands out, in each of the dimensions, which are as many directions
    in which to stand out. It alone makes less of evidence that is weak in each of many instances. To pool both is the
    idea of the two streams of DSMIL (Li, Li and Eliceiri 2021), which takes the one instance with the highest score;
    here both are added before one head, and with a linear head the logit is a sum of two games of known algebra.

    The maxima of embeddings are several times their means. Where the gain begins well below 1, the maximum does not
    drown what the attention sees.

    Args:
        embedding: dimensions of an instance, E.
        hidden: dimensions of the attention's hidden layer.
        gain: what g begins with.

    Raises:
        ValueError: if the gain is not positive and finite: at 0 the maximum would learn nothing at first.
    """

    def __init__(self, embedding: int, hidden: int = 128, gain: float = 0.25) -> None:
        super().__init__()
        if not 0 < gain < float("inf"):
            raise ValueError(f"gain must be positive and finite, found {gain}")
        self.attention = GatedAttentionPooling(embedding, hidden)
        self.gain = nn.Parameter(torch.full((embedding,), float(gain)))

    def pool(self, instances: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """Pool a ragged batch: ``(T, E)`` and ``(B,)`` give ``(B, E)``."""
        mean = self.attention.pool(instances, lengths)
        return self.combine(mean, segment_max(instances, lengths)).to(instances.dtype)

    def combine(self, mean: torch.Tensor, maximum: torch.Tensor) -> torch.Tensor:
        """Return z ``(…, E)`` of the attention's mean and of the maximum, ``(…, E)`` each."""
        return mean + self.gain * maximum
