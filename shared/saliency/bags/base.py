"""What every explanation of bags shares: the calling convention, precision, and leaving the model as it was found."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from shared.mil.ragged import check_lengths
from shared.saliency.bags.bag_model import BagModel, full_precision, plain_features

__all__ = ["BagAttribution"]


class BagAttribution(ABC):
    """An explanation of bags: ``attribute(features)`` gives one value for each instance.

    A high value says that the instance speaks for the explained logit. A subclass computes the values of one bag in
    :meth:`_attribute`. All is computed in float64 on a copy of the model as it is at the time of the call; gradients
    are enabled inside even if the caller disabled them; a bag's values do not depend on other bags.

    Args:
        model: bag classifier; see :class:`~shared.saliency.bags.bag_model.BagModel` for what it can be.
        target: index of the logit that is explained.

    Attributes:
        diverging: whether values below zero speak against the logit; otherwise the lowest only say the least.
        unit: what a value is, for legends.
    """

    diverging: bool = True
    unit: str = "log-odds"

    def __init__(self, model: nn.Module, target: int = 0) -> None:
        self.model = model
        self.target = target

    def attribute(self, features: Tensor) -> Tensor:
        """Explain one bag.

        Args:
            features: of its instances, ``(N, E)``, or whatever the model's encoder takes, ``(N, …)``; of any
                floating-point type, on the model's device.

        Returns:
            Values of the instances, ``(N,)``, float64.

        Raises:
            TypeError: if the features are no floating-point tensor, or the method cannot explain this model.
            ValueError: if the bag is empty or holds NaN or infinity.
        """
        return self.attribute_many(features, torch.tensor([len(features)]))

    def attribute_many(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Explain several bags.

        Args:
            features: of the instances of B bags one after the other, ``(T, E)`` or ``(T, …)``.
            lengths: number of instances of each bag, ``(B,)``, int64.

        Returns:
            Values of the instances, ``(T,)``, float64. Errors are those of :meth:`attribute`, and a ``ValueError`` if
            the lengths do not fit.
        """
        with full_precision(features):
            model, checked = self._prepared(features)
            check_lengths(lengths, len(checked))
            sizes: list[int] = lengths.tolist()
            return torch.cat([self._attribute(model, bag).detach() for bag in checked.split(sizes)])

    def _prepared(self, features: Tensor) -> tuple[BagModel, Tensor]:
        """Return the model taken apart, and the features in float64, both checked."""
        checked = plain_features(features)
        model = BagModel(self.model, self.target)
        model.check(checked)
        return model, checked

    @abstractmethod
    def _attribute(self, model: BagModel, features: Tensor) -> Tensor:
        """Return the values ``(N,)`` of one bag of plain, finite float64 features ``(N, …)`` without a graph."""
