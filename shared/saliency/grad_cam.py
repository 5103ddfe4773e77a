"""Grad-CAM."""

from __future__ import annotations

import torch

from shared.saliency.feature_maps import GradientActivationMap

__all__ = ["GradCAM"]


class GradCAM(GradientActivationMap):
    """Grad-CAM (Selvaraju et al. 2017, equations 1 and 2), not negative.

    ``ReLU(sum_k w_k A_k)`` with ``w_k`` the mean over positions of ``dS_c/dA_k(i, j)``, upsampled bilinearly; the same
    map in every channel of the image.

    Args:
        network: classifier that maps images ``(B, C, H, W)`` to logits ``(B, K)``.
        layer: name of the layer; None takes the last convolution with the rectifier that follows it.

    Raises:
        ValueError: if there is no such layer.
    """

    def _from_gradient(self, features: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
        weights = gradient.mean(dim=(2, 3))  # (B, F)
        return torch.einsum("bk,bkhw->bhw", weights, features).relu()
