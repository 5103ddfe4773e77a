"""The score of an instance by itself."""

from __future__ import annotations

import torch
from torch import Tensor

from shared.saliency.bags.bag_model import BagModel
from shared.saliency.bags.base import BagAttribution

__all__ = ["InstanceScore"]


class InstanceScore(BagAttribution):
    """The logit of the bag that holds this instance only: ``f({x_i})``.

    All such bags are one ragged batch, and one call of the model.

    Args:
        model: bag classifier, of any pooling.
        target: index of the logit f.
    """

    unit = "log-odds of the instance alone"

    @torch.no_grad()
    def _attribute(self, model: BagModel, features: Tensor) -> Tensor:
        embeddings = model.encode(features)
        return model.level(embeddings, torch.ones(len(embeddings), dtype=torch.int64, device=embeddings.device))[
            :, model.target
        ]
