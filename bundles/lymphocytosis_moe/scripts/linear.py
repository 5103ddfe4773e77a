"""A linear layer that keeps single precision where autocast would take it away."""

from __future__ import annotations

import torch
from torch import nn

from shared.mil.ragged import at_least_single

__all__ = ["FullPrecisionLinear"]


class FullPrecisionLinear(nn.Linear):
    """Linear layer of few outputs in single precision at least, also under autocast.

    Autocast computes linear layers in half precision. For the encoder that is harmless, but a logit with two to three
    significant digits ties patients that differ, and its tail probabilities are worthless to the mixture.
    """

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Map ``(…, in_features)`` to ``(…, out_features)``."""
        output = (at_least_single(inputs).unsqueeze(-2) * self.weight).sum(-1)
        return output if self.bias is None else output + self.bias
