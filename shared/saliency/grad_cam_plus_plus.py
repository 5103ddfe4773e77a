"""Grad-CAM++ and Smooth Grad-CAM++, which differ in where the derivatives come from."""

from __future__ import annotations

import torch
from torch import nn

from shared.saliency.feature_maps import ClassActivationMap, GradientActivationMap
from shared.saliency.noise import check_noise, noisy_images
from shared.saliency.targets import resolve_target

__all__ = ["GradCAMPlusPlus", "SmoothGradCAMPlusPlus"]


class GradCAMPlusPlus(GradientActivationMap):
    r"""Grad-CAM++ (Chattopadhay et al. 2018, arXiv:1710.11063), not negative.

    ``ReLU(sum_k w_k A_k)`` with ``w_k = sum_ij alpha_k(i, j) ReLU(dY/dA_k(i, j))``. The paper takes ``Y = exp(S_c)``,
    the logit being piecewise linear in the maps; with ``g = dS_c/dA_k(i, j)`` its weights have the closed form

    ``alpha_k(i, j) = g^2 / (2 g^2 + g^3 sum_ab A_k(a, b))``

    and 0 where g is 0 (equation 19; the sum runs over the positions of the map). The factor ``exp(S_c)``, common to all
    weights of an image, is left out: it only scales the map and overflows for large logits.

    The closed form assumes rectified maps, for which alpha is in (0, 1/2] wherever the gradient is positive. With
    negative values it has poles, hence the refusal.

    Args:
        network: classifier that maps images ``(B, C, H, W)`` to logits ``(B, K)``.
        layer: name of the layer, its output not negative; None takes the last convolution with the rectifier that
            follows it.

    Raises:
        ValueError: if there is no such layer; in ``attribute``, if its output has negative values.
    """

    def _from_gradient(self, features: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
        return _weighted(features, gradient, gradient**2, gradient**3, self.layer)


class SmoothGradCAMPlusPlus(ClassActivationMap):
    """Smooth Grad-CAM++ (Omeiza et al. 2019, arXiv:1908.01224), not negative.

    Grad-CAM++ with each of the three derivatives replaced by its mean ``D1, D2, D3`` over noisy copies of the image,
    the feature maps being those of the image itself:

    ``alpha_k(i, j) = D2 / (2 D2 + D3 sum_ab A_k(a, b))``, ``w_k = sum_ij alpha_k(i, j) ReLU(D1)``

    Where this departs from the paper's text: the paper prints D1 in the numerator of alpha, but only D2 gives back
    Grad-CAM++ without noise (torch-cam corrects the same); derivatives are taken of the logit, so ``Dp`` is the mean of
    ``g^p``; and a negative D3, which positive gradients cannot have, counts as 0, which keeps alpha in [0, 1/2].

    Args:
        network: classifier that maps images ``(B, C, H, W)`` to logits ``(B, K)``.
        layer: name of the layer, its output not negative; None takes the last convolution with the rectifier that
            follows it.
        samples: number of noisy copies per image.
        noise_level: standard deviation of the noise as a fraction of each image's range of values.
        seed: seed of the noise; the global random state is neither read nor changed.
        chunk_size: largest number of noisy copies in memory at once.

    Raises:
        ValueError: if there is no such layer or a number is out of its range; in ``attribute``, if the layer's output
            has negative values.
    """

    def __init__(
        self,
        network: nn.Module,
        layer: str | None = None,
        samples: int = 25,
        noise_level: float = 0.15,
        seed: int = 0,
        chunk_size: int = 64,
    ) -> None:
        super().__init__(network, layer)
        check_noise(samples, noise_level, chunk_size)
        self.samples = samples
        self.noise_level = noise_level
        self.seed = seed
        self.chunk_size = chunk_size

    def _coarse_maps(self, images: torch.Tensor, target: int | torch.Tensor | None) -> torch.Tensor:
        features, logits = self.features_and_logits(images)
        targets = resolve_target(logits, target)
        sums = [torch.zeros_like(features) for _ in range(3)]
        for copies, image in noisy_images(images, self.samples, self.noise_level, self.seed, self.chunk_size):
            _, gradient, _ = self.feature_gradient(copies, targets[image])
            for order, total in enumerate(sums, start=1):
                total.index_add_(0, image, gradient**order)
        first, second, third = (total / self.samples for total in sums)
        return _weighted(features, first, second, third, self.layer)


def _weighted(
    features: torch.Tensor, first: torch.Tensor, second: torch.Tensor, third: torch.Tensor, layer: str
) -> torch.Tensor:
    """Return the maps ``(B, h, w)`` from features and the derivatives of three orders, each ``(B, F, h, w)``."""
    if bool((features < 0).any()):
        raise ValueError(
            f"layer {layer!r} has negative feature maps, Grad-CAM++ is defined for rectified ones: "
            "choose the layer after the rectifier"
        )
    activity = features.sum(dim=(2, 3), keepdim=True)  # (B, F, 1, 1)
    # alpha has no effect where the gradient is negative, which is the only place where it could have a pole
    denominator = 2 * second + activity * third.relu()
    alpha = torch.where(second > 0, second / denominator.where(second > 0, 1), 0)
    weights = (alpha * first.relu()).sum(dim=(2, 3))  # (B, F)
    return torch.einsum("bk,bkhw->bhw", weights, features).relu()
