"""A method on a model that has learnt nothing: what its values say because of the features alone."""

from __future__ import annotations

import torch
from torch import Tensor

from shared.saliency.bags.bag_model import BagModel
from shared.saliency.bags.base import BagAttribution
from shared.saliency.sanity.explained import on_network
from shared.saliency.sanity.layers import untrained_network

__all__ = ["UntrainedValues"]


class UntrainedValues(BagAttribution):
    """The values of a method on a copy of its model with random weights, as they are before any training.

    Args:
        method: on the trained model, which is left as it is.
        seed: of the random weights, see :func:`shared.saliency.sanity.layers.redraw`.
    """

    def __init__(self, method: BagAttribution, seed: int = 0) -> None:
        super().__init__(method.model, method.target)
        self.method = method
        self.seed = seed
        self.diverging = method.diverging
        self.unit = method.unit
        self._model: torch.nn.Module | None = None

    def _attribute(self, model: BagModel, features: Tensor) -> Tensor:  # noqa: ARG002
        if self._model is None:
            one = torch.ones(1, dtype=torch.int64, device=features.device)
            parameter = next(self.model.parameters())
            few = features[:1].to(parameter.dtype)
            self._model = untrained_network(self.model, lambda network: network(few, one), self.seed)
        return on_network({"": self.method}, self.model, self._model)[""].attribute(features)
