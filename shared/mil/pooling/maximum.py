"""Max pooling."""

from __future__ import annotations

import torch

from shared.mil.pooling.base import Pooling
from shared.mil.ragged import segment_max

__all__ = ["MaxPooling"]


class MaxPooling(Pooling):
    """The greatest value in each dimension: ``z_k = max_i h_ik`` (Sahasrabudhe et al. 2020, equation 4).

    At instance level this is the standard multiple-instance assumption: a bag is positive if and only if at least one
    instance is.
    """

    def pool(self, instances: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """Pool a ragged batch: ``(T, E)`` and ``(B,)`` give ``(B, E)``."""
        return segment_max(instances, lengths)
