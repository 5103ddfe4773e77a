"""A network as seen from behind what is done to its features first: what explanations call its input."""

from __future__ import annotations

import torch
from torch import nn

from scripts.bag_context import BagContext
from scripts.networks import BagClassifier
from scripts.standardisation import FeatureStandardisation

__all__ = ["StandardisedInput"]


class StandardisedInput(nn.Module):
    """The network without the standardisation or the context that it begins with, if it does; all weights are shared.

    Gradient × input, its smoothed form and layer-wise relevance multiply by the input, and noise is a share of its
    range. Of a raw feature neither zero nor the unit means anything; of a standardised one zero is the mean of the
    training tiles, and all features are on one scale. With a :class:`~scripts.bag_context.BagContext`, a tile's
    input is its description relative to its slide, which stays what it is when other tiles are left out.

    Args:
        network: that is explained; its weights may be loaded later.

    Attributes:
        encoder: what follows, ``None`` if nothing does; see
            :class:`~shared.saliency.bags.bag_model.BagModel`.
        level: that of the network.
    """

    def __init__(self, network: BagClassifier) -> None:
        super().__init__()
        self.encoder = network.encoder
        self.level = network.level
        # no module of this one: its explanations begin behind it
        self._before: list[FeatureStandardisation] = []
        self._context: list[BagContext] = [] if network.context is None else [network.context]
        layers = list(network.encoder) if isinstance(network.encoder, nn.Sequential) else []
        if layers and isinstance(layers[0], FeatureStandardisation):
            self._before = [layers[0]]
            self.encoder = nn.Sequential(*layers[1:]) if layers[1:] else None

    def forward(self, features: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """Return the logits ``(B, 1)`` of features ``(T, E)`` as :meth:`standardised` gives them."""
        return self.level(features if self.encoder is None else self.encoder(features), lengths)

    @torch.no_grad()
    def standardised(self, features: torch.Tensor) -> torch.Tensor:
        """Return the features ``(N, E)`` of one whole bag as the rest of the network gets them."""
        if self._context:
            return self._context[0](features, torch.tensor([len(features)], device=features.device))
        return self._before[0](features) if self._before else features
