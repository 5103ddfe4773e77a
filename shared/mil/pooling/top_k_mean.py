"""Mean of the k greatest."""

from __future__ import annotations

import torch

from shared.mil.pooling.base import Pooling
from shared.mil.ragged import check_lengths

__all__ = ["TopKMeanPooling"]


class TopKMeanPooling(Pooling):
    """The mean of the k greatest values in each dimension: ``z_k = 1/m Σ_{j ≤ m} h_(j)k``, ``m = min(k, n)``.

    ``h_(1) ≥ h_(2) ≥ …`` are the sorted values. This is the top-instance part of WELDON (Durand, Thome and Cord 2016);
    ``k = 1`` is max pooling and ``k ≥ n`` mean pooling. A bag with fewer than k instances is averaged whole.

    Args:
        k: number of values.

    Raises:
        ValueError: if ``k`` is below 1.
    """

    def __init__(self, k: int) -> None:
        super().__init__()
        if k < 1:
            raise ValueError(f"k must be at least 1, found {k}")
        self.k = k

    def pool(self, instances: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """Pool a ragged batch: ``(T, E)`` and ``(B,)`` give ``(B, E)``."""
        check_lengths(lengths, instances.shape[0])
        sizes: list[int] = lengths.tolist()
        return torch.stack(
            [
                torch.topk(bag, min(self.k, bag.shape[0]), dim=0, sorted=False)[0].mean(dim=0)
                for bag in torch.split(instances, sizes)
            ]
        )

    def extra_repr(self) -> str:
        """Return what ``print`` shows."""
        return f"k={self.k}"
