"""A network as seen from behind the standardisation of its features: what explanations call its input."""

from __future__ import annotations

import torch
from torch import nn

from scripts.networks import BagClassifier
from scripts.standardisation import FeatureStandardisation

__all__ = ["StandardisedInput"]


class StandardisedInput(nn.Module):
    """The network without the standardisation that its encoder begins with, if it does; all weights are shared.

    Gradient × input, its smoothed form and layer-wise relevance multiply by the input, and noise is a share of its
    range. Of a raw feature neither zero nor the unit means anything; of a standardised one zero is the mean of the
    training tiles, and all features are on one scale.

    Args:
        network: that is explained; its weights may be loaded later.

    Attributes:
        encoder: what follows the standardisation, ``None`` if nothing does; see
            :class:`~shared.saliency.bags.bag_model.BagModel`.
        level: that of the network.
    """

    def __init__(self, network: BagClassifier) -> None:
        super().__init__()
        self.encoder = network.encoder
        self.level = network.level
        # no module of this one: its explanations begin behind it
        self._before: list[FeatureStandardisation] = []
        layers = list(network.encoder) if isinstance(network.encoder, nn.Sequential) else []
        if layers and isinstance(layers[0], FeatureStandardisation):
            self._before = [layers[0]]
            self.encoder = nn.Sequential(*layers[1:]) if layers[1:] else None

    def forward(self, features: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """Return the logits ``(B, 1)`` of standardised features ``(T, E)``."""
        return self.level(features if self.encoder is None else self.encoder(features), lengths)

    @torch.no_grad()
    def standardised(self, features: torch.Tensor) -> torch.Tensor:
        """Return features ``(T, E)`` as the rest of the network gets them."""
        return self._before[0](features) if self._before else features
