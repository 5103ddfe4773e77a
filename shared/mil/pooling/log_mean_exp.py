"""Log-mean-exp pooling."""

from __future__ import annotations

import torch

from shared.mil.pooling.base import Pooling
from shared.mil.ragged import at_least_single, segment_max, segment_mean

__all__ = ["LogMeanExpPooling"]


class LogMeanExpPooling(Pooling):
    """A smooth maximum: ``z_k = 1/r · log(1/n Σ_i exp(r h_ik))``.

    Sahasrabudhe et al. 2020 (equation 6) and Pinheiro and Collobert 2015 call it log-sum-exp; with the mean it does not
    grow with the size of the bag. ``r → 0`` gives the mean, ``r → ∞`` the maximum.

    With ``m_k = max_i h_ik`` and ``d = h − m`` it is computed as ``m + 1/r · log(mean exp(r d))`` or, where that mean
    is above ½, as ``m + 1/r · log1p(mean expm1(r d))``. The first cannot overflow and the second does not cancel: both
    ends are reached in single precision.

    Args:
        r: sharpness, in units of 1/embedding.

    Raises:
        ValueError: if ``r`` is not positive and finite.
    """

    def __init__(self, r: float = 1.0) -> None:
        super().__init__()
        if not 0 < r < float("inf"):
            raise ValueError(f"r must be positive and finite, found {r}; for r = 0 use mean, for infinity max pooling")
        self.r = float(r)

    def pool(self, instances: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """Pool a ragged batch: ``(T, E)`` and ``(B,)`` give ``(B, E)``."""
        exact = at_least_single(instances)
        # the result does not depend on what is subtracted, so neither does its gradient
        greatest = segment_max(exact.detach(), lengths)
        scaled = self.r * (exact - torch.repeat_interleave(greatest, lengths, dim=0))
        minus_one = segment_mean(torch.expm1(scaled), lengths)
        near = minus_one > -0.5
        logarithm = torch.where(
            near,
            torch.log1p(torch.where(near, minus_one, torch.zeros_like(minus_one))),
            torch.log(segment_mean(torch.exp(scaled), lengths)),
        )
        return (greatest + logarithm / self.r).to(instances.dtype)

    def extra_repr(self) -> str:
        """Return what ``print`` shows."""
        return f"r={self.r:g}"
