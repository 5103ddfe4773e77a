"""Mean pooling."""

from __future__ import annotations

import torch

from shared.mil.pooling.base import WeightedPooling
from shared.mil.ragged import at_least_single, check_lengths, segment_mean

__all__ = ["MeanPooling"]


class MeanPooling(WeightedPooling):
    """The mean: ``z = 1/n Σ_i h_i`` (Sahasrabudhe et al. 2020, equation 5). Every instance has the weight ``1/n``."""

    def pool(self, instances: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """Pool a ragged batch: ``(T, E)`` and ``(B,)`` give ``(B, E)``."""
        return segment_mean(instances, lengths)

    def weigh(self, instances: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """Return the weights of a ragged batch: ``(T, E)`` and ``(B,)`` give ``(T,)``."""
        check_lengths(lengths, instances.shape[0])
        return torch.repeat_interleave(1 / lengths.to(at_least_single(instances).dtype), lengths)
