"""Exact Shapley values of instances as an explanation."""

from __future__ import annotations

from torch import Tensor

from shared.mil.shapley.instance_shapley import instance_shapley
from shared.saliency.bags.bag_model import BagModel
from shared.saliency.bags.base import BagAttribution

__all__ = ["ExactShapley"]


class ExactShapley(BagAttribution):
    """Exact Shapley values of the instances for the logit, players removed; the empty bag has the head's bias.

    They are those of :func:`shared.mil.shapley.instance_shapley.instance_shapley`, which also says for which models
    there is a formula; for the others the method raises a ``TypeError``.

    Args:
        model: bag classifier.
        target: index of the logit.
    """

    def _attribute(self, model: BagModel, features: Tensor) -> Tensor:
        return instance_shapley(model.level, model.encode(features), target=model.target).values
