"""The networks in the form in which they are exported to ONNX: patients side by side, with a mask.

All take the same three inputs:

- ``image``: floats in [0, 1], ``(B, N, 3, H, W)``;
- ``mask``: true where there is an image, ``(B, N)``;
- ``attributes``: age in years and lymphocyte count in 10⁹/L, ``(B, 2)``. A row of two NaN stands for unknown ones,
  which the network takes for the means of the training patients; where only one is NaN, so is the logit.

No step depends on the data; see :mod:`shared.export.padded_pooling`. The images of a batch are encoded at once and not
in chunks: memory grows with ``B · N``.
"""

from __future__ import annotations

import torch
from torch import nn

from scripts.ensemble import FoldEnsemble, mean_probability_logit
from scripts.experts import AttributePerceptron, ImageClassifier
from scripts.networks import TwoExperts
from shared.data.errors import DataError
from shared.export.form import PREDICTION, ExportForm, TensorInput
from shared.export.padded_pooling import instancewise, padded_pooling
from shared.mil.ragged import from_padded

__all__ = ["bag_form", "padded_network"]


class PaddedImageClassifier(nn.Module):
    """The expert on images; see :class:`~scripts.experts.ImageClassifier`."""

    def __init__(self, expert: ImageClassifier) -> None:
        super().__init__()
        self.encoder: nn.Module = expert.encoder.encoder
        self.pooling = padded_pooling(expert.pooling)
        self.head = expert.head

    def forward(self, image: torch.Tensor, mask: torch.Tensor, attributes: torch.Tensor) -> torch.Tensor:  # noqa: ARG002
        """Return the logits ``(B, 1)``; the attributes are not used."""
        return self.head(self.pooled(image, mask))

    def pooled(self, image: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return the pooled embeddings ``(B, E)``."""
        return self.pooling(instancewise(self.encoder, image), mask)


class PaddedAttributePerceptron(nn.Module):
    """The expert on attributes; see :class:`~scripts.experts.AttributePerceptron`."""

    def __init__(self, expert: AttributePerceptron) -> None:
        super().__init__()
        self.expert = expert

    def forward(self, image: torch.Tensor, mask: torch.Tensor, attributes: torch.Tensor) -> torch.Tensor:  # noqa: ARG002
        """Return the logits ``(B, 1)``; the images are not used."""
        return self.expert.attribute_logits(self.standardised(attributes))

    def standardised(self, attributes: torch.Tensor) -> torch.Tensor:
        """Return the standardised attributes ``(B, 2)``, zeros where they are unknown."""
        standardised = self.expert.standardisation(attributes)
        unknown = attributes.isnan().all(dim=1, keepdim=True)
        return torch.where(unknown, torch.zeros_like(standardised), standardised)


class PaddedTwoExperts(nn.Module):
    """Average or mixture of both; see :class:`~scripts.networks.TwoExperts`."""

    def __init__(self, network: TwoExperts) -> None:
        super().__init__()
        self.network = network
        self.image_expert = PaddedImageClassifier(network.image_expert)
        self.attribute_expert = PaddedAttributePerceptron(network.attribute_expert)

    def forward(self, image: torch.Tensor, mask: torch.Tensor, attributes: torch.Tensor) -> torch.Tensor:
        """Return the logits ``(B, 1)``."""
        standardised = self.attribute_expert.standardised(attributes)
        return self.network.from_pooled(self.image_expert.pooled(image, mask), standardised)["logits"]


class PaddedEnsemble(nn.Module):
    """The mean of the members' calibrated probabilities; see :class:`~scripts.ensemble.FoldEnsemble`."""

    def __init__(self, ensemble: FoldEnsemble) -> None:
        super().__init__()
        self.members = nn.ModuleList(padded_network(member) for member in ensemble.members)
        self.ensemble = ensemble

    def forward(self, image: torch.Tensor, mask: torch.Tensor, attributes: torch.Tensor) -> torch.Tensor:
        """Return the logits ``(B, 1)``."""
        logits = torch.stack([member(image, mask, attributes) for member in self.members])  # (M, B, 1)
        return mean_probability_logit(logits / self.ensemble.temperatures[:, None, None])


def padded_network(network: nn.Module) -> nn.Module:
    """Return the padded form of a network, whose weights are shared.

    Raises:
        DataError: if the network is of another kind, or its pooling operator has no padded form.
    """
    if isinstance(network, FoldEnsemble):
        return PaddedEnsemble(network)
    if isinstance(network, TwoExperts):
        return PaddedTwoExperts(network)
    if isinstance(network, ImageClassifier):
        return PaddedImageClassifier(network)
    if isinstance(network, AttributePerceptron):
        return PaddedAttributePerceptron(network)
    raise DataError(
        f"network_name: {type(network).__name__} has no form for ONNX; export it as torchscript, or add one to "
        "scripts/padded_network.py"
    )


def bag_form(network: nn.Module, image_size: int) -> ExportForm:
    """Return the form of a network, with any number of patients B and of images N.

    Args:
        network: one of :mod:`scripts.networks`, or an ensemble of them.
        image_size: H and W in pixels.
    """
    inputs = (
        TensorInput("image", ("batch", "instances", 3, image_size, image_size)),
        TensorInput("mask", ("batch", "instances"), "mask"),
        TensorInput("attributes", ("batch", 2), "positive"),
    )

    def reference(image: torch.Tensor, mask: torch.Tensor, attributes: torch.Tensor) -> torch.Tensor:
        images, lengths = from_padded(image, mask)
        return network(images, lengths, attributes)

    return ExportForm(padded_network(network), network, inputs, (PREDICTION,), reference)
