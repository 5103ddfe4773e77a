"""Small, plain pictures of images."""

from __future__ import annotations

import os

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image

from shared.data.files import atomic_path

__all__ = ["write_thumbnail"]

LONGEST = 160


def write_thumbnail(path: str | os.PathLike[str], image: ArrayLike, longest: int = LONGEST) -> None:
    """Write an image as a small PNG, from its lowest to its highest value.

    Args:
        path: the file, written whole or not at all.
        image: ``(H, W)``, or ``(C, H, W)`` with one channel or three; uint8 values are kept as they are.
        longest: pixels of the longer side, at most.

    Raises:
        ValueError: if the shape is another, or a value is not finite.
    """
    values = np.asarray(image)
    planes = values[0] if values.ndim == 3 and len(values) == 1 else values
    if planes.ndim == 3 and len(planes) == 3:
        planes = np.moveaxis(planes, 0, -1)
    if planes.ndim not in (2, 3) or (planes.ndim == 3 and planes.shape[-1] != 3) or planes.size == 0:
        raise ValueError(f"an image (H, W), (1, H, W) or (3, H, W) expected, found {values.shape}")
    if not np.isfinite(planes).all():
        raise ValueError("the image holds NaN or infinity")
    if planes.dtype != np.uint8:
        low, high = float(planes.min()), float(planes.max())
        planes = np.round(255 * (planes.astype(np.float64) - low) / (high - low or 1.0)).astype(np.uint8)
    picture = Image.fromarray(planes)
    picture.thumbnail((longest, longest))
    with atomic_path(path) as temporary:
        picture.save(temporary, format="PNG", optimize=True)
