"""A method on a network that has learnt nothing: what a map shows because of the image and the architecture alone."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from shared.saliency.base import Attribution, ClassMaps
from shared.saliency.sanity.explained import on_network
from shared.saliency.sanity.layers import untrained_network
from shared.saliency.targets import resolve_classes

__all__ = ["UntrainedMap"]


class UntrainedMap(Attribution):
    """The maps of a method on a copy of its network with random weights, as they are before any training.

    What is explained is the class that was asked for, or the one that the trained network predicts. The weights depend
    on the seed and on the names of the layers, see :func:`shared.saliency.sanity.layers.redraw`.

    Args:
        method: on the trained network, which is left as it is.
        seed: of the random weights.
    """

    def __init__(self, method: Attribution, seed: int = 0) -> None:
        super().__init__(method.network)
        self.method = method
        self.seed = seed
        self.sign = method.sign
        self._network: nn.Module | None = None

    def _attribute(self, images: torch.Tensor, target: int | torch.Tensor | None) -> torch.Tensor:
        targets = self.targets(images, target)
        return self._untrained(images).attribute(images, targets)

    def _attribute_classes(self, images: torch.Tensor, classes: Sequence[int] | None) -> ClassMaps:
        logits = self.predict(images)
        maps = self._untrained(images).attribute_classes(images, resolve_classes(logits, classes)).maps
        return ClassMaps(logits, maps)

    def _untrained(self, images: torch.Tensor) -> Attribution:
        """Return the method on the network with random weights."""
        if self._network is None:
            self._network = untrained_network(self.network, lambda network: network(images[:1]), self.seed)
        return on_network({"": self.method}, self.network, self._network)[""]
