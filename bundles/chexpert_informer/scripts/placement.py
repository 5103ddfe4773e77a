"""How an image of any size lies in the network's square input, and how a map of the input gets back onto the image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.nn import functional as F

__all__ = ["MODES", "Placement"]

MODES = ("pad", "squash")


@dataclass(frozen=True)
class Placement:
    """Where the resized image lies in the input.

    Args:
        shape: ``(H, W)`` of the image.
        size: side S of the square input, pixels.
        mode: ``pad`` keeps the aspect, so that the longer side fills the input and the shorter lies in its middle;
            ``squash`` resizes both sides to S.

    Raises:
        ValueError: if the mode is unknown or a length is not positive.

    Example:
        >>> placement = Placement((200, 100), 50)
        >>> placement.inner, placement.corner
        ((50, 25), (0, 12))
    """

    shape: tuple[int, int]
    size: int
    mode: str = "pad"

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise ValueError(f"mode is '{self.mode}', expected one of {', '.join(MODES)}")
        if min(*self.shape, self.size) < 1:
            raise ValueError(f"expected at least one pixel, found an image of {self.shape} and a size of {self.size}")

    @property
    def inner(self) -> tuple[int, int]:
        """Rows and columns that the image takes of the input."""
        if self.mode == "squash":
            return self.size, self.size
        longest = max(self.shape)
        rows, columns = (max(1, round(length * self.size / longest)) for length in self.shape)
        return rows, columns

    @property
    def corner(self) -> tuple[int, int]:
        """Row and column of the input at which the image begins."""
        rows, columns = self.inner
        return (self.size - rows) // 2, (self.size - columns) // 2

    def resize(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the image ``(H, W)`` as large as it is in the input (bilinear, with antialiasing)."""
        rows, columns = self.inner
        if image.shape == (rows, columns):
            return image
        picture = Image.fromarray(np.ascontiguousarray(image, dtype=np.float32))
        return np.asarray(picture.resize((columns, rows), Image.Resampling.BILINEAR))

    def pad(self, resized: NDArray[np.generic]) -> NDArray[np.generic]:
        """Return a resized image ``inner`` with zeros around it, ``(S, S)``."""
        (rows, columns), (top, left) = self.inner, self.corner
        return np.pad(resized, ((top, self.size - rows - top), (left, self.size - columns - left)))

    def fit_mask(self, mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return a mask or bit image ``(H, W)`` on the input's grid, ``(S, S)``: nearest pixels, 0 around."""
        rows, columns = self.inner
        picture = Image.fromarray(mask).resize((columns, rows), Image.Resampling.NEAREST)
        return self.pad(np.asarray(picture)).astype(np.uint8)

    def restore(self, maps: torch.Tensor) -> torch.Tensor:
        """Return maps of the input on the image's own grid.

        Args:
            maps: ``(…, S, S)``, signed.

        Returns:
            ``(…, H, W)``, bilinear; what lies on the padding is cut off.
        """
        (rows, columns), (top, left) = self.inner, self.corner
        cut = maps[..., top : top + rows, left : left + columns]
        flat = cut.reshape(1, -1, rows, columns)
        resized = F.interpolate(flat, self.shape, mode="bilinear", align_corners=False, antialias=True)
        return resized.reshape(*maps.shape[:-2], *self.shape)
