"""Guided backpropagation times input."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from shared.saliency.base import ClassMaps, Sign
from shared.saliency.guided_backpropagation import GuidedBackpropagation

__all__ = ["GuidedBackpropagationXInput"]


class GuidedBackpropagationXInput(GuidedBackpropagation):
    """Guided backpropagation (Springenberg et al. 2015) multiplied by the input, ``x * g(x)``; signed.

    The combination that Sahasrabudhe et al. 2020 (hal-03032875, figure 5) show for lymphocytes. Multiplying takes out
    what lies where the input is zero: for an image that is centred by the mean image, where it looks as images do on
    average. Guided backpropagation itself is much the same for any class and any weights (Adebayo et al. 2018), so that
    these maps say where a network responds rather than for which class.

    Args:
        network: see :class:`~shared.saliency.guided_backpropagation.GuidedBackpropagation`.
    """

    sign: Sign = "signed"

    def _attribute(self, images: torch.Tensor, target: int | torch.Tensor | None) -> torch.Tensor:
        return images * super()._attribute(images, target)

    def _attribute_classes(self, images: torch.Tensor, classes: Sequence[int] | None) -> ClassMaps:
        logits, gradients = super()._attribute_classes(images, classes)
        return ClassMaps(logits, images[:, None] * gradients)
