"""Age and lymphocyte count as the networks see them: standardised by the training patients."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

__all__ = ["ATTRIBUTES", "AttributeStandardisation"]

ATTRIBUTES = ("age", "lymphocyte_count")  # years, 10⁹/L


class AttributeStandardisation(nn.Module):
    """Centre and scale age and lymphocyte count by mean and standard deviation of the training patients.

    The count is skewed by two orders of magnitude, so by default its logarithm is taken first: on the raw count a
    linear model separates the patients far worse. Both statistics are buffers, so that a checkpoint says by itself how
    its attributes are to be read.

    Args:
        log_count: whether the logarithm of the count is standardised, or the count itself.
    """

    def __init__(self, log_count: bool = True) -> None:
        super().__init__()
        self.log_count = log_count
        self.centre: torch.Tensor  # annotated here and not in the class, where TorchScript cannot resolve it
        self.scale: torch.Tensor
        self.register_buffer("centre", torch.zeros(len(ATTRIBUTES)))
        self.register_buffer("scale", torch.ones(len(ATTRIBUTES)))

    def forward(self, attributes: torch.Tensor) -> torch.Tensor:
        """Return the standardised attributes ``(B, 2)``.

        Args:
            attributes: age in years and lymphocyte count in 10⁹/L, ``(B, 2)``.
        """
        return (self.transform(attributes.to(self.centre.dtype)) - self.centre) / self.scale

    def transform(self, attributes: torch.Tensor) -> torch.Tensor:
        """Take the logarithm of the count, if that is what is standardised; ``(B, 2)`` to ``(B, 2)``."""
        if self.log_count:
            return torch.stack([attributes[:, 0], attributes[:, 1].log()], dim=1)
        return attributes

    @torch.jit.unused
    def fit(self, attributes: torch.Tensor | Iterable[Iterable[float]]) -> AttributeStandardisation:
        """Take mean and standard deviation from training patients.

        An attribute that is the same for all of them keeps its own unit.

        Args:
            attributes: age in years and lymphocyte count in 10⁹/L of the P training patients, ``(P, 2)``.

        Returns:
            The same module.

        Raises:
            ValueError: if the shape is another, or an attribute is not finite after the transformation.
        """
        values = torch.as_tensor(attributes, dtype=torch.float64)
        if values.ndim != 2 or values.shape[1] != len(ATTRIBUTES) or len(values) == 0:
            raise ValueError(f"expected attributes of shape (P, {len(ATTRIBUTES)}), found {tuple(values.shape)}")
        values = self.transform(values)
        if not values.isfinite().all():
            row = int((~values.isfinite()).any(dim=1).nonzero()[0])
            raise ValueError(
                f"the attributes {', '.join(ATTRIBUTES)} of training patient {row} are {attributes[row]}, "  # type: ignore[index]
                "expected finite numbers and a count above zero"
            )
        deviation = values.std(dim=0, correction=0)
        self.centre.copy_(values.mean(dim=0))
        self.scale.copy_(torch.where(deviation > 0, deviation, torch.ones_like(deviation)))
        return self
