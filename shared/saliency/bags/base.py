"""What every explanation of bags shares: the calling convention, precision, and leaving the model as it was found."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from shared.mil.ragged import check_lengths
from shared.saliency.bags.bag_model import BagModel

__all__ = ["BagAttribution"]


class BagAttribution(ABC):
    """An explanation of bags: ``attribute(features)`` gives one value for each instance.

    A high value says that the instance speaks for the explained logit. A subclass computes the values of one bag in
    :meth:`_attribute`. All is computed in float64 on a copy of the model as it is at the time of the call; gradients
    are enabled inside even if the caller disabled them; a bag's values do not depend on other bags.

    Args:
        model: bag classifier; see :class:`~shared.saliency.bags.bag_model.BagModel` for what it can be.
        target: index of the logit that is explained.
    """

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
        with self._own_context(features):
            model, checked = self._prepared(features)
            check_lengths(lengths, len(checked))
            sizes: list[int] = lengths.tolist()
            return torch.cat([self._attribute(model, bag).detach() for bag in checked.split(sizes)])

    @contextmanager
    def _own_context(self, features: Tensor) -> Iterator[None]:
        """Enable gradients and full precision, whatever the caller set."""
        # MONAI's evaluator calls under no_grad and autocast; tensors of an outer inference_mode could carry no graph
        with (
            torch.inference_mode(mode=False),
            torch.enable_grad(),
            torch.autocast(features.device.type, enabled=False),
        ):
            yield

    def _prepared(self, features: Tensor) -> tuple[BagModel, Tensor]:
        """Return the model taken apart, and the features in float64, both checked."""
        checked = _checked(features)
        model = BagModel(self.model, self.target)
        model.check(checked)
        return model, checked

    @abstractmethod
    def _attribute(self, model: BagModel, features: Tensor) -> Tensor:
        """Return the values ``(N,)`` of one bag of plain, finite float64 features ``(N, …)`` without a graph."""


def _checked(features: Tensor) -> Tensor:
    if not isinstance(features, Tensor) or not features.is_floating_point():
        found = features.dtype if isinstance(features, Tensor) else type(features).__name__
        raise TypeError(f"features must be a floating-point tensor, found {found}")
    if features.ndim < 2 or features.numel() == 0:
        raise ValueError(f"features must be those of a bag with instances, (N, E), found {tuple(features.shape)}")
    plain = features.as_subclass(Tensor).detach().double()
    # the sum is finite only if all are, or overflows in float64, which no features do
    if not bool(plain.sum().isfinite()):
        finite = plain.isfinite().flatten(1).all(dim=1)
        raise ValueError(f"features hold NaN or infinity in instances {(~finite).nonzero().flatten()[:5].tolist()}")
    return plain
