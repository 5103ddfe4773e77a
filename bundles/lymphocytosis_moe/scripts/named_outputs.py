"""A network that returns everything it knows by name, for training and evaluation."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

__all__ = ["NamedOutputs"]


class NamedOutputs(nn.Module):
    """Calls a network's ``outputs`` instead of its ``forward``.

    ``forward`` of the networks returns one plain tensor, which export and third-party tools rely on. A loss of several
    terms needs the experts as well, from the same pass, and under several processes it must come from the module that
    is wrapped for them.

    Args:
        network: a module with a method ``outputs``, such as those of :mod:`scripts.networks`; its weights
            are shared, not copied.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network: Any = network  # no type says of a module that it has this method

    def forward(
        self,
        image: torch.Tensor,
        lengths: torch.Tensor | None = None,
        attributes: torch.Tensor | None = None,
    ) -> dict[str, torch.Tensor]:
        """Return the network's ``outputs``: ``logits`` ``(B, 1)`` and what else it has."""
        return self.network.outputs(image, lengths, attributes)
