"""The expert on images for one cell: what attribution methods explain."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from scripts.ensemble import refuse_ensemble
from scripts.networks import ImageClassifier, TwoExperts
from shared.saliency.seed_stability import load_other_models

__all__ = ["OneCell", "OtherCells"]


class OneCell(nn.Module):
    """Scores of a patient who has this cell only, by the expert on images.

    A map of a cell answers what in it speaks for the class by itself; how much the cell counts among the others is what
    its Shapley value says. Every pooling operator of the bundle returns the embedding of a single cell unchanged, so
    that none is needed here: ``z = θ_C · M(x) + β``. With mean pooling the gradient of the patient's logit with respect
    to one of N cells is this one over N, and the maps are the same but for that factor. With attention or max pooling
    they are not: these maps then leave out that changing a cell changes its weight.

    The scores are ``(−z, z)``: what speaks for reactive is what speaks against tumoral.

    Args:
        network: with an expert on images; shared, not copied.

    Raises:
        DataError: if it is an ensemble of networks.
        TypeError: if the network does not look at cells.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        refuse_ensemble(network)
        expert = network.image_expert if isinstance(network, TwoExperts) else network
        if not isinstance(expert, ImageClassifier):
            raise TypeError(f"{type(network).__name__} does not look at cells, so that none can be explained")
        # recomputation would run the encoder behind the back of methods that hook its layers
        self.encoder = expert.resnet
        self.centring = expert.centring
        self.head = expert.head

    def centred(self, image: torch.Tensor) -> torch.Tensor:
        """Return images ``(B, 3, H, W)`` as the encoder sees them: what is explained, and what maps multiply by."""
        return self.centring(image)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Return the scores ``(B, 2)`` of centred images ``(B, 3, H, W)``."""
        logit = self.head(self.encoder(image).float())  # (B, 1)
        return torch.cat([-logit, logit], dim=1)


@dataclass(frozen=True)
class OtherCells:
    """The experts on images of other trainings, for one cell.

    Args:
        network: the trained network, whose weights the files hold.
        files: weights of trainings from other seeds.
    """

    network: nn.Module
    files: Sequence[str | os.PathLike[str]] = ()

    def __call__(self) -> list[nn.Module]:
        """Return one for each file, see :func:`shared.saliency.seed_stability.load_other_models`."""
        return [OneCell(other) for other in load_other_models(self.network, self.files)]
