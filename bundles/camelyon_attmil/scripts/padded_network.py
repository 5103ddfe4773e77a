"""The network in the form in which it is exported to ONNX: slides side by side, with a mask."""

from __future__ import annotations

import torch
from torch import nn

from scripts.networks import BagClassifier
from shared.export.form import PREDICTION, ExportForm, TensorInput
from shared.export.padded_pooling import instancewise, padded_pooling
from shared.mil.levels import EmbeddingLevel

__all__ = ["PaddedBagClassifier", "bag_form"]


class PaddedBagClassifier(nn.Module):
    """A network of bags without a step that depends on the data; see :mod:`shared.export.padded_pooling`.

    Args:
        network: whose weights are shared.

    Raises:
        DataError: if its pooling operator has no padded form.
    """

    def __init__(self, network: BagClassifier) -> None:
        super().__init__()
        self.encoder = network.encoder
        self.pools_embeddings = isinstance(network.level, EmbeddingLevel)
        self.head = network.level.head
        self.pooling = padded_pooling(network.level.pooling)

    def forward(self, image: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return the logits ``(B, 1)`` of instances ``(B, N, …)`` with a mask ``(B, N)``."""
        embeddings = image if self.encoder is None else instancewise(self.encoder, image)  # (B, N, D)
        if self.pools_embeddings:
            return self.head(self.pooling(embeddings, mask))
        return self.pooling(self.head(embeddings), mask)


def bag_form(network: BagClassifier, features: int) -> ExportForm:
    """Return the form: ``image`` ``(B, N, E)`` and ``mask`` ``(B, N)`` in, for any B and N.

    Args:
        network: of features.
        features: E.
    """
    inputs = (
        TensorInput("image", ("batch", "instances", features), "normal"),
        TensorInput("mask", ("batch", "instances"), "mask"),
    )
    return ExportForm(
        onnx=PaddedBagClassifier(network),
        torchscript=network,
        inputs=inputs,
        outputs=(PREDICTION,),
        reference=lambda image, mask: network(image, None, mask),
    )
