"""Moments of a convolutional network's feature maps: what an outlier score can see besides the embedding."""

from __future__ import annotations

import torch
from torch import nn

__all__ = ["feature_statistics"]


def feature_statistics(features: nn.Sequential, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Run ``features`` and collect mean and standard deviation of each channel's map on the way.

    The deep embedding keeps what tells the classes apart and forgets much of what makes an image unusual; the first
    maps and the image itself still show it (Lee et al. 2018, section 2.2, use every layer for this reason).

    Args:
        features: layers in sequence. Their mode is left as it is.
        images: ``(B, C, H, W)``.

    Returns:
        The output ``(B, D, h, w)`` of ``features``, and the statistics ``(B, F)``: mean and standard deviation
        over the pixels for each channel of the image and of every convolution's output, in this order.

    Raises:
        TypeError: if ``features`` is not an ``nn.Sequential``.
    """
    if not isinstance(features, nn.Sequential):
        raise TypeError(f"feature statistics need features of type nn.Sequential, found {type(features).__name__}")
    statistics = [*_moments(images)]
    maps = images
    for layer in features:
        maps = layer(maps)
        if isinstance(layer, nn.Conv2d):
            statistics.extend(_moments(maps))
    return maps, torch.cat(statistics, dim=1)


def _moments(maps: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return mean and standard deviation over the pixels, each ``(B, C)``, in at least single precision."""
    variance, mean = torch.var_mean(maps.to(torch.promote_types(maps.dtype, torch.float32)), dim=(2, 3), correction=0)
    return mean, variance.sqrt()
