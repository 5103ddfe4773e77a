"""A network that returns everything it knows by name, for training and evaluation."""

from __future__ import annotations

import torch
from torch import nn

from scripts.networks import AttributePerceptron, ImageClassifier, TwoExperts

__all__ = ["NamedOutputs"]


class NamedOutputs(nn.Module):
    """Calls a network's ``outputs`` instead of its ``forward``.

    ``forward`` of the networks returns one plain tensor, which export and third-party tools rely on. A loss of several
    terms needs the experts as well, from the same pass, and under several processes it must come from the module that
    is wrapped for them.

    Args:
        network: one of :mod:`scripts.networks`; its weights are shared, not copied.
    """

    def __init__(self, network: ImageClassifier | AttributePerceptron | TwoExperts) -> None:
        super().__init__()
        self.network = network

    def forward(
        self,
        image: torch.Tensor,
        lengths: torch.Tensor | None = None,
        attributes: torch.Tensor | None = None,
    ) -> dict[str, torch.Tensor]:
        """Return the network's ``outputs``: ``logits`` ``(B, 1)`` and what else it has."""
        return self.network.outputs(image, lengths, attributes)
