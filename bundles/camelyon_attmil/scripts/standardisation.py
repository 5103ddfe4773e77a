"""Features on a scale of their own: mean and spread of the training tiles, kept among the network's weights."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

__all__ = ["FeatureStandardisation"]


class FeatureStandardisation(nn.Module):
    """Maps features ``(T, E)`` to ``(x − centre) / scale``.

    Encoders differ by orders of magnitude in the scale of their features, and a network's first steps depend on it.
    Before :meth:`fit` the features pass as they are.

    Args:
        features: number of features E.
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        self.centre: torch.Tensor
        self.scale: torch.Tensor
        self.register_buffer("centre", torch.zeros(features))
        self.register_buffer("scale", torch.ones(features))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return the standardised features ``(T, E)``."""
        return (features - self.centre) / self.scale

    @torch.jit.unused
    def fit(self, bags: Iterable[torch.Tensor]) -> FeatureStandardisation:
        """Take mean and standard deviation from training bags, each bag counting alike whatever its size.

        A feature that is the same everywhere keeps its own unit.

        Args:
            bags: features ``(N, E)`` of one bag after another; each is looked at once.

        Returns:
            The same module.

        Raises:
            ValueError: if there is no bag, or a bag has another number of features.
        """
        number = 0
        mean = square = torch.zeros(len(self.centre), dtype=torch.float64)
        for bag in bags:
            if bag.ndim != 2 or bag.shape[1] != len(self.centre):
                raise ValueError(f"expected bags of shape (N, {len(self.centre)}), found {tuple(bag.shape)}")
            values = bag.double().cpu()
            number += 1
            mean = mean + (values.mean(dim=0) - mean) / number
            square = square + (values.square().mean(dim=0) - square) / number
        if number == 0:
            raise ValueError("there is no bag to take mean and spread from")
        deviation = (square - mean.square()).clamp_min(0).sqrt()
        # a spread of rounding errors is none
        constant = deviation <= 1e-6 * mean.abs().clamp_min(1e-6)
        self.centre.copy_(mean)
        self.scale.copy_(torch.where(constant, torch.ones_like(deviation), deviation))
        return self
