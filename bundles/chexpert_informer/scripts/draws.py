"""Repeated logits of the same images: test-time augmentation and Monte Carlo dropout, INFORMER's rivals.

What is random depends on the seed and the number of the draw alone. An image gets the same draws alone, in any batch
and at any place in it (up to the rounding of sums). The price is that the Monte Carlo errors of different images are
correlated.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from shared.calibration.monte_carlo_dropout import MonteCarloDropout
from shared.saliency.base import evaluation_mode
from shared.saliency.image_transformation import ImageTransformation

__all__ = ["AugmentationDraw", "AugmentationDraws", "DropoutDraws", "augment", "box_blur", "logit_std"]


class AugmentationDraw(NamedTuple):
    """One augmentation.

    Attributes:
        rotation: counter-clockwise angle in degrees.
        blur: whether the image is blurred.
        shift: pixels by which the crop moves the image downwards and to the right.
    """

    rotation: float
    blur: bool
    shift: tuple[int, int]


@dataclass(frozen=True)
class AugmentationDraws:
    """Test-time augmentation as the paper names it: rotation, blur and crop (INFORMER, section 3).

    "Random rotations of 45 degrees, bluring with kernel size 10 by 10 and random cropping with a padding 8" leaves
    open: the angle is uniform between −45° and 45°; the blur is a box filter, as in the paper's training; the crop has
    the size of the image and any place in the image padded by 8 on each side; what lies outside is 0. All three are
    applied in this order in every draw. Neither number of draws nor statistic is given: both are settings here, the
    statistic being the standard deviation of the logit.

    Args:
        draws: number of draws S, at least 2.
        seed: any non-negative integer.
        rotation: largest angle in degrees.
        blur: side of the box filter in pixels; 1 for none.
        blur_probability: share of draws that are blurred.
        padding: of the crop, in pixels.

    Raises:
        ValueError: if a value is out of range.

    Example:
        >>> network = nn.Sequential(nn.Flatten(), nn.Linear(256, 5))
        >>> AugmentationDraws(draws=4).logits(network, torch.rand(3, 1, 16, 16)).shape
        torch.Size([4, 3, 5])
    """

    draws: int = 10
    seed: int = 0
    rotation: float = 45.0
    blur: int = 10
    blur_probability: float = 1.0
    padding: int = 8

    def __post_init__(self) -> None:
        if self.draws < 2:
            raise ValueError(f"a standard deviation needs at least 2 draws, found {self.draws}")
        if self.rotation < 0 or self.blur < 1 or self.padding < 0 or not 0 <= self.blur_probability <= 1:
            raise ValueError(
                "expected rotation >= 0 degrees, blur >= 1 and padding >= 0 pixels and blur_probability in [0, 1], "
                f"found {self.rotation}, {self.blur}, {self.padding}, {self.blur_probability}"
            )

    def draw(self, index: int) -> AugmentationDraw:
        """Return the augmentation of one draw, which depends on ``seed`` and ``index`` alone."""
        generator = np.random.default_rng([self.seed, index])
        rotation = float(generator.uniform(-self.rotation, self.rotation))
        blur = bool(generator.random() < self.blur_probability)
        down, right = generator.integers(-self.padding, self.padding, size=2, endpoint=True)
        return AugmentationDraw(rotation, blur, (int(down), int(right)))

    def logits(self, network: nn.Module, images: torch.Tensor) -> torch.Tensor:
        """Return the logits of every draw, ``(S, B, K)``, of images ``(B, C, H, W)``; one forward pass each.

        The network is in evaluation mode inside, and gets back the mode of each of its modules.
        """
        with torch.no_grad(), evaluation_mode(network):
            draws = [network(augment(images, self.draw(index), self.blur)) for index in range(self.draws)]
        return torch.stack(draws)

    def __call__(self, network: nn.Module, images: torch.Tensor) -> torch.Tensor:
        """Return the standard deviation of the logits over the draws, float64 ``(B, K)``."""
        return logit_std(self.logits(network, images))


@dataclass(frozen=True)
class DropoutDraws:
    """Monte Carlo dropout (Gal and Ghahramani 2016): the network's dropout stays switched on.

    What comes before the dropout is computed once for all samples; see
    :class:`shared.calibration.monte_carlo_dropout.MonteCarloDropout`, which also says what network is needed.

    Args:
        draws: number of samples S, at least 2.
        seed: any non-negative integer.

    Raises:
        ValueError: if there are fewer than two draws.
    """

    draws: int = 100
    seed: int = 0

    def __post_init__(self) -> None:
        if self.draws < 2:
            raise ValueError(f"a standard deviation needs at least 2 draws, found {self.draws}")

    def logits(self, network: nn.Module, images: torch.Tensor) -> torch.Tensor:
        """Return the logits of every sample, ``(S, B, K)``, of images ``(B, C, H, W)``.

        Raises:
            TypeError: if the network has no ``features`` and ``head``.
            ValueError: if it was built without dropout.
        """
        return MonteCarloDropout(network, self.draws, self.seed).logits(images).transpose(0, 1)

    def __call__(self, network: nn.Module, images: torch.Tensor) -> torch.Tensor:
        """Return the standard deviation of the logits over the samples, float64 ``(B, K)``."""
        return logit_std(self.logits(network, images))


def augment(images: torch.Tensor, draw: AugmentationDraw, blur: int) -> torch.Tensor:
    """Rotate, blur and crop all images ``(B, C, H, W)`` alike; what lies outside is 0.

    Args:
        images: ``(B, C, H, W)``.
        draw: what is done.
        blur: side of the box filter in pixels, no larger than the image.
    """
    if draw.rotation:
        images = ImageTransformation(rotation=draw.rotation).apply(images, "zeros")
    if draw.blur:
        images = box_blur(images, blur)
    down, right = draw.shift
    return F.pad(images, (right, -right, down, -down))  # negative padding cuts


def box_blur(images: torch.Tensor, size: int) -> torch.Tensor:
    """Return the mean over ``size × size`` pixels around each pixel, borders repeated; same shape.

    An even box has no centre: it reaches one pixel farther up and to the left.

    Raises:
        ValueError: if the box is larger than the image.
    """
    if size > min(images.shape[2:]):
        raise ValueError(f"a box of {size} pixels does not fit into images of {tuple(images.shape[2:])}")
    before, after = size // 2, (size - 1) // 2
    padded = F.pad(images, (before, after, before, after), mode="replicate")
    return F.avg_pool2d(padded, size, stride=1)


def logit_std(draws: torch.Tensor) -> torch.Tensor:
    """Return the standard deviation (divisor S − 1) over the draws: ``(S, B, K)`` to float64 ``(B, K)``."""
    return draws.double().std(dim=0)
