"""Plain numbers by which a patient's images and attributes can be found unusual, whatever the network makes of them."""

from __future__ import annotations

import torch

from shared.mil.ragged import segment_mean

__all__ = ["bag_statistics"]

CHUNK_IMAGES = 256  # a bag of integers becomes floats by so many images at a time


def bag_statistics(image: torch.Tensor, lengths: torch.Tensor, attributes: torch.Tensor) -> torch.Tensor:
    """Return eight statistics of each patient.

    Another stain, scanner or exposure moves the colours; a count in another unit, or an age that is none, moves the
    attributes. The number of images is left out: it says how the smear was taken and nothing of what is on it.

    Args:
        image: ``(T, 3, H, W)``, ``uint8`` or floats in [0, 1].
        lengths: images of each patient, ``(B,)``.
        attributes: age in years and lymphocyte count in 10⁹/L, ``(B, 2)``.

    Returns:
        ``(B, 8)``: over a patient's images the mean of their mean red, green and blue, and of their standard deviations
        (on the scale [0, 1]); the age in years; the logarithm of the count.
    """
    colours = segment_mean(torch.cat([_colours(part) for part in image.split(CHUNK_IMAGES)]), lengths)  # (B, 6)
    if image.dtype == torch.uint8:
        colours = colours / 255
    return torch.cat([colours, attributes[:, :1], attributes[:, 1:].log()], dim=1)


def _colours(image: torch.Tensor) -> torch.Tensor:
    """Return mean and standard deviation of each colour of each image, ``(n, 6)``, in the images' units."""
    deviation, mean = torch.std_mean(image.flatten(2).float(), dim=2, correction=0)
    return torch.cat([mean, deviation], dim=1)
