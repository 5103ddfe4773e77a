"""The network in the form in which it is exported to ONNX: slides side by side, with a mask."""

from __future__ import annotations

import torch
from torch import nn

from scripts.bag_context import BagContext
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
        self.context = None if network.context is None else _PaddedContext(network.context)
        self.encoder = network.encoder
        self.pools_embeddings = isinstance(network.level, EmbeddingLevel)
        self.head = network.level.head
        self.pooling = padded_pooling(network.level.pooling)

    def forward(self, image: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return the logits ``(B, 1)`` of instances ``(B, N, …)`` with a mask ``(B, N)``."""
        if self.context is not None:
            image = self.context(image, mask)
        embeddings = image if self.encoder is None else instancewise(self.encoder, image)  # (B, N, D)
        if self.pools_embeddings:
            return self.head(self.pooling(embeddings, mask))
        return self.pooling(self.head(embeddings), mask)


class _PaddedContext(nn.Module):
    """:class:`~scripts.bag_context.BagContext` of padded bags ``(B, N, E)`` with a mask ``(B, N)``."""

    def __init__(self, context: BagContext) -> None:
        super().__init__()
        self.own_weight = context.own_weight
        self.smallest_variance = context.smallest_variance
        self.standardisation = context.standardisation

    def forward(self, features: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        own = features if self.standardisation is None else self.standardisation(features)
        there = mask.to(own.dtype)[:, :, None]  # (B, N, 1)
        share = there / there.sum(dim=1, keepdim=True)
        # what stands in places without an instance may be anything, NaN included
        own = torch.where(there > 0, own, torch.zeros_like(own))
        apart = own - (own * share).sum(dim=1, keepdim=True)
        variance = (apart.square() * share).sum(dim=1, keepdim=True)
        return torch.cat([self.own_weight * own, apart / (variance + self.smallest_variance).sqrt()], dim=2)


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
