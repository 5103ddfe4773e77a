"""SmoothGrad and SmoothGrad × input."""

from __future__ import annotations

import torch
from torch import nn

from shared.saliency.base import Attribution
from shared.saliency.noise import check_noise, noisy_images

__all__ = ["SmoothGrad"]


class SmoothGrad(Attribution):
    """SmoothGrad (Smilkov et al. 2017, arXiv:1706.03825): the mean of the signed gradient over noisy copies.

    ``M_c(x) = 1/n * sum_s dS_c(x + noise_s)/dx``. It is a mean, so more copies change its noise and not its size.

    Args:
        network: classifier that maps images ``(B, C, H, W)`` to logits ``(B, K)``.
        samples: number n of noisy copies per image.
        noise_level: standard deviation of the noise as a fraction of each image's range of values; the paper advises
            0.1 to 0.2.
        times_input: multiply the mean by the image, SmoothGrad × input.
        seed: seed of the noise; the global random state is neither read nor changed.
        chunk_size: largest number of noisy copies in memory at once.

    Raises:
        ValueError: if a number is out of its range.
    """

    def __init__(
        self,
        network: nn.Module,
        samples: int = 50,
        noise_level: float = 0.15,
        times_input: bool = False,
        seed: int = 0,
        chunk_size: int = 64,
    ) -> None:
        super().__init__(network)
        check_noise(samples, noise_level, chunk_size)
        self.samples = samples
        self.noise_level = noise_level
        self.times_input = times_input
        self.seed = seed
        self.chunk_size = chunk_size
        self.sign = "signed" if times_input else "absolute"

    def _attribute(self, images: torch.Tensor, target: int | torch.Tensor | None) -> torch.Tensor:
        targets = self.targets(images, target)
        total = torch.zeros_like(images)
        for copies, image in noisy_images(images, self.samples, self.noise_level, self.seed, self.chunk_size):
            gradient, _, _ = self.input_gradient(copies, targets[image])
            total.index_add_(0, image, gradient)
        mean = total / self.samples
        return mean * images if self.times_input else mean
