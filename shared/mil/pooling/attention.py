"""Attention-based pooling."""

from __future__ import annotations

import torch
from torch import nn

from shared.mil.pooling.base import WeightedPooling, ragged_batch, scatter_to_padded
from shared.mil.ragged import at_least_single, check_lengths, segment_softmax, segment_sum

__all__ = ["AttentionPooling"]


class AttentionPooling(WeightedPooling):
    """Weighted mean with learned weights (Ilse, Tomczak and Welling 2018, equations 7 and 8).

    ``z = Σ_i w_i h_i`` with ``w = softmax(a)`` over the bag and ``a_i = vᵀ tanh(V h_i + c)``. The paper writes no bias
    ``c``, its authors' program has one; a bias of ``v`` would cancel. The logits are computed in the precision of the
    layer's own weights, also under autocast: rounded to half precision, instances that differ would weigh the same.

    Args:
        embedding: dimensions of an instance, E.
        hidden: dimensions of the attention's hidden layer.
    """

    def __init__(self, embedding: int, hidden: int = 128) -> None:
        super().__init__()
        self.hidden = nn.Sequential(nn.Linear(embedding, hidden), nn.Tanh())
        self.score = nn.Linear(hidden, 1, bias=False)

    @torch.jit.export
    def attention_logits(
        self, instances: torch.Tensor, lengths: torch.Tensor | None = None, mask: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return the logits ``a``, ``(T,)`` or, for a padded batch, ``(B, N)`` with −∞ where there is no instance.

        Arguments and errors are those of :meth:`forward`.
        """
        flat, sizes = ragged_batch(instances, lengths, mask)
        check_lengths(sizes, flat.shape[0])
        logits = self.attend(flat)
        return logits if lengths is not None else scatter_to_padded(logits, instances, mask, -float("inf"))

    def attend(self, instances: torch.Tensor) -> torch.Tensor:
        """Return the attention logits ``(T,)`` of instances ``(T, E)``."""
        if torch.jit.is_scripting():
            return self.logits(instances.to(self.score.weight.dtype))
        return self._without_autocast(instances)

    @torch.jit.unused
    def _without_autocast(self, instances: torch.Tensor) -> torch.Tensor:
        with torch.autocast(instances.device.type, enabled=False):
            return self.logits(instances.to(self.score.weight.dtype))

    def logits(self, instances: torch.Tensor) -> torch.Tensor:
        """Return the attention logits ``(T,)`` of instances ``(T, E)`` in the precision of the weights."""
        return self.score(self.hidden(instances)).squeeze(1)

    def weigh(self, instances: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """Return the weights of a ragged batch: ``(T, E)`` and ``(B,)`` give ``(T,)``."""
        # weights of large bags are smaller than half precision holds
        return segment_softmax(at_least_single(self.attend(instances)), lengths)

    def pool(self, instances: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """Pool a ragged batch: ``(T, E)`` and ``(B,)`` give ``(B, E)``."""
        return segment_sum(self.weigh(instances, lengths).unsqueeze(1) * instances, lengths).to(instances.dtype)
