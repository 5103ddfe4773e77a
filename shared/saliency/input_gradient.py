"""Input × gradient."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from shared.saliency.base import Attribution, ClassMaps

__all__ = ["InputXGradient"]


class InputXGradient(Attribution):
    """Input × gradient (Shrikumar et al. 2016, "Not just a black box"): ``x * dS_c(x)/dx``, signed.

    For a network of linear layers, rectifiers and max pooling without biases the map adds up to the logit. The maps of
    several classes come from one forward pass and one backward pass for each class.

    Args:
        network: classifier that maps images ``(B, C, H, W)`` to logits ``(B, K)``.
    """

    def _attribute(self, images: torch.Tensor, target: int | torch.Tensor | None) -> torch.Tensor:
        gradient, _, _ = self.input_gradient(images, target)
        return images * gradient

    def _attribute_classes(self, images: torch.Tensor, classes: Sequence[int] | None) -> ClassMaps:
        gradients, logits = self.input_gradients(images, classes)
        return ClassMaps(logits, images[:, None] * gradients)
