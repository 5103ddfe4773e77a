"""Maps of many images, batch by batch."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from shared.saliency.base import Attribution

__all__ = ["batched_class_maps", "batched_maps"]


def batched_maps(
    method: Attribution, images: torch.Tensor, targets: torch.Tensor, batch_size: int
) -> NDArray[np.floating]:
    """Return a method's maps of images, channels added up.

    Args:
        method: of attribution.
        images: the network's inputs ``(N, C, H, W)``.
        targets: class that is explained of each ``(N,)``.
        batch_size: images explained at once.

    Returns:
        ``(N, H, W)``.
    """
    batches = zip(images.split(batch_size), targets.split(batch_size), strict=True)
    return np.concatenate([method.attribute(*batch).sum(dim=1).cpu().numpy() for batch in batches])


def batched_class_maps(method: Attribution, images: torch.Tensor, batch_size: int) -> NDArray[np.floating]:
    """Return a method's maps of all classes of images, channels added up.

    Args:
        method: of attribution.
        images: the network's inputs ``(N, C, H, W)``.
        batch_size: images explained at once.

    Returns:
        ``(N, K, H, W)``.
    """
    batches = images.split(batch_size)
    return np.concatenate([method.attribute_classes(batch).maps.sum(dim=2).cpu().numpy() for batch in batches])
