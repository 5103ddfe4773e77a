"""What a held-out cell may suffer on its way to the network: other preprocessing, and small attacks.

Preprocessing acts on phases in radians, before normalisation; attacks act on what the network sees.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import nn
from torch.nn.functional import cross_entropy

from scripts.preprocessing import subtract_polynomial
from scripts.study.stand_in import subtract_level
from shared.saliency.base import evaluation_mode

__all__ = [
    "BACKGROUNDS",
    "blur",
    "change_background",
    "change_intensity",
    "fast_gradient_sign",
    "move_crop",
    "projected_gradient_descent",
    "random_sign",
]

Phase = NDArray[np.float32]
Bounds = tuple[float, float]


def _border_median(phase: Phase) -> Phase:
    border = np.ones(phase.shape[1:], dtype=bool)
    border[2:-2, 2:-2] = False
    return phase - np.median(phase[:, border], axis=1)[:, None, None]


def _polynomial(order: int) -> Callable[[Phase], Phase]:
    return lambda phase: np.stack([subtract_polynomial(image, order) for image in phase])


BACKGROUNDS: dict[str, Callable[[Phase], Phase]] = {
    "none": lambda phase: phase,
    "level": subtract_level,
    "border": _border_median,
    "plane": _polynomial(1),
    "quadratic": _polynomial(2),
    "mean image": lambda phase: phase - phase.mean(axis=0),
}
"""Background methods by name; each takes and gives phases ``(N, H, W)`` in radians. ``level`` is that of the training:
the 5 % quantile of the image. ``border`` is the median of the outer two pixels, ``plane`` and ``quadratic`` the
bundle's fits to single frames, ``mean image`` the mean of the given images, and ``none`` subtracts nothing."""


def change_background(raw: Phase, method: str) -> Phase:
    """Subtract the background of raw phases ``(N, H, W)`` with one of :data:`BACKGROUNDS`.

    Raises:
        ValueError: if the method is unknown.
    """
    if method not in BACKGROUNDS:
        raise ValueError(f"no background method is called {method!r}; choose one of {list(BACKGROUNDS)}")
    return BACKGROUNDS[method](raw).astype(np.float32)


def move_crop(phase: Phase, pixels: int, seed: int = 0) -> Phase:
    """Move each image by so many pixels in one of the four directions, drawn per image; its edge is repeated.

    Args:
        phase: ``(N, H, W)``.
        pixels: distance.
        seed: of the directions.
    """
    directions = np.array([(-1, 0), (1, 0), (0, -1), (0, 1)])
    chosen = directions[np.random.default_rng(seed).integers(0, 4, len(phase))]
    moved = [
        ndimage.shift(image, pixels * step, order=0, mode="nearest") for image, step in zip(phase, chosen, strict=True)
    ]
    return np.stack(moved)


def blur(phase: Phase, sigma: float) -> Phase:
    """Convolve each image ``(N, H, W)`` with a Gaussian of standard deviation ``sigma`` in pixels."""
    return ndimage.gaussian_filter(phase, sigma, axes=(1, 2), mode="nearest")


def change_intensity(phase: Phase, factor: float) -> Phase:
    """Multiply background-subtracted phases ``(N, H, W)``: another staining, or another refraction increment."""
    return (phase * factor).astype(np.float32)


def random_sign(images: torch.Tensor, epsilon: float, bounds: Bounds, seed: int = 0) -> torch.Tensor:
    """Add ±ε to each pixel at random: what an attack of that size must be held against.

    Args:
        images: what the network sees, ``(N, 1, H, W)``.
        epsilon: size of the change.
        bounds: smallest and largest value that an image may have.
        seed: of the signs.

    Returns:
        Images within the bounds, of the same shape.
    """
    signs = torch.randint(0, 2, images.shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    return (images + epsilon * signs).clamp(*bounds)


def fast_gradient_sign(
    network: nn.Module, images: torch.Tensor, labels: torch.Tensor, epsilon: float, bounds: Bounds
) -> torch.Tensor:
    """Attack with one step: ``x' = clip(x + ε sign ∇ₓ L(f(x), y))`` (Goodfellow et al. 2015, section 4).

    Args:
        network: maps images to logits; its dropout is switched off.
        images: what the network sees, ``(N, 1, H, W)``.
        labels: true class indices ``(N,)``; L is the cross-entropy.
        epsilon: largest change of a pixel.
        bounds: smallest and largest value that an image may have.

    Returns:
        Images within the bounds, of the same shape.
    """
    return (images + epsilon * _gradient(network, images, labels).sign()).clamp(*bounds)


def projected_gradient_descent(
    network: nn.Module,
    images: torch.Tensor,
    labels: torch.Tensor,
    epsilon: float,
    bounds: Bounds,
    steps: int = 10,
    seed: int = 0,
) -> torch.Tensor:
    """Attack with several steps of size ``2.5 ε / steps`` from a random start (Madry et al. 2018, equation 2).

    After each step the images are projected onto the ε-cube around the originals and onto the bounds.

    Args:
        network: maps images to logits; its dropout is switched off.
        images: what the network sees, ``(N, 1, H, W)``.
        labels: true class indices ``(N,)``; the loss is the cross-entropy.
        epsilon: largest change of a pixel.
        bounds: smallest and largest value that an image may have.
        steps: number of steps.
        seed: of the start.

    Returns:
        Images within the bounds, of the same shape.
    """
    start = torch.rand(images.shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    attacked = (images + epsilon * start).clamp(*bounds)
    for _ in range(steps):
        attacked = attacked + 2.5 * epsilon / steps * _gradient(network, attacked, labels).sign()
        attacked = torch.minimum(torch.maximum(attacked, images - epsilon), images + epsilon).clamp(*bounds)
    return attacked


def _gradient(network: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return the gradient of the summed cross-entropy with respect to the images."""
    images = images.detach().clone().requires_grad_()
    with evaluation_mode(network), torch.enable_grad():
        loss = cross_entropy(network(images), labels, reduction="sum")
        return torch.autograd.grad(loss, images)[0]
