"""Leaving out one instance."""

from __future__ import annotations

from torch import Tensor

from shared.saliency.bags.bag_model import BagModel
from shared.saliency.bags.base import BagAttribution
from shared.saliency.bags.pooled_bag import PooledBag

__all__ = ["LeaveOneOut"]


class LeaveOneOut(BagAttribution):
    """How far the logit falls without the instance: ``f(X) − f(X without x_i)``, for all instances at once in O(N).

    By the running quantities of the pooling, :mod:`shared.saliency.bags.pooled_bag`; the only instance of a bag leaves
    the empty bag, whose logit is the head's bias.

    Args:
        model: bag classifier with one of the poolings that :class:`~shared.saliency.bags.pooled_bag.PooledBag` knows.
        target: index of the logit f.
    """

    def _attribute(self, model: BagModel, features: Tensor) -> Tensor:
        return PooledBag(model, features).leave_one_out()
