"""Input × gradient."""

from __future__ import annotations

import torch

from shared.saliency.base import Attribution

__all__ = ["InputXGradient"]


class InputXGradient(Attribution):
    """Input × gradient (Shrikumar et al. 2016, "Not just a black box"): ``x * dS_c(x)/dx``, signed.

    For a network of linear layers, rectifiers and max pooling without biases the map adds up to the logit.

    Args:
        network: classifier that maps images ``(B, C, H, W)`` to logits ``(B, K)``.
    """

    def _attribute(self, images: torch.Tensor, target: int | torch.Tensor | None) -> torch.Tensor:
        gradient, _, _ = self.input_gradient(images, target)
        return images * gradient
