"""The image that stands for "nothing there", which perturbation and path methods compare with."""

from __future__ import annotations

from typing import Literal, TypeAlias

import torch

__all__ = ["Baseline", "baseline_images"]

Baseline: TypeAlias = float | Literal["mean", "minimum"]


def baseline_images(images: torch.Tensor, baseline: Baseline) -> torch.Tensor:
    """Return the baseline of each image.

    Args:
        images: ``(B, C, H, W)``.
        baseline: a grey value for all images, or ``"mean"`` or ``"minimum"`` for each image's own, per channel.

    Returns:
        ``(B, C, H, W)``, constant within each channel.

    Raises:
        ValueError: if the baseline is a text other than these two.

    Example:
        >>> baseline_images(torch.tensor([[[[1.0, 3.0]]]]), "mean")
        tensor([[[[2., 2.]]]])
    """
    if not isinstance(baseline, str):
        return torch.full_like(images, float(baseline))
    if baseline == "mean":
        return images.mean(dim=(2, 3), keepdim=True).expand_as(images)
    if baseline == "minimum":
        return images.amin(dim=(2, 3), keepdim=True).expand_as(images)
    raise ValueError(f"baseline must be a number, 'mean' or 'minimum', found {baseline!r}")
