"""A radiograph on its own grid, with what is known of it, and the way of maps back onto that grid."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from scripts.chest_image import read_chest_image
from scripts.dicom import is_dicom, read_pixel_size
from scripts.network_input import window
from scripts.placement import Placement
from shared.data.arrays import read_image
from shared.data.errors import DataError

__all__ = ["OriginalImage"]


@dataclass(frozen=True)
class OriginalImage:
    """An image as it was read.

    Attributes:
        grey: grey values in [0, 1] ``(H, W)``.
        placement: how the image lies in the network's input.
        truth: bit image ``(H, W)``; ``None`` if nothing is known.
        pixel_size_mm: height and width of a pixel, mm; ``None`` where the file does not state them.
    """

    grey: NDArray[np.float32]
    placement: Placement
    truth: NDArray[np.uint8] | None
    pixel_size_mm: tuple[float, float] | None = None

    @classmethod
    def read(
        cls,
        path: str | os.PathLike[str],
        truth: str | os.PathLike[str] | None,
        image_size: int,
        percentiles: Sequence[float],
        mode: str,
    ) -> OriginalImage:
        """Read an image and its masks.

        Args:
            path: of the image.
            truth: of the bit image on the same grid, if there is one.
            image_size: side of the network's input, pixels.
            percentiles: see :class:`scripts.network_input.ChestInput`.
            mode: see :class:`scripts.placement.Placement`.

        Raises:
            DataError: if a file cannot be used, or the two are of different size.
        """
        image = read_chest_image(path)
        bits = None
        if truth is not None:
            bits = read_image(truth)
            if bits.shape != image.shape or bits.dtype != np.uint8:
                raise DataError(
                    f"{truth}: is {bits.dtype} {bits.shape}, expected a bit image (uint8) of the shape "
                    f"{image.shape} of {path}; prepare the data anew"
                )
        placement = Placement((image.shape[0], image.shape[1]), image_size, mode)
        size = read_pixel_size(path) if is_dicom(Path(path)) else None
        return cls(window(image, percentiles), placement, bits, size)

    def mask(self, bit: int) -> NDArray[np.bool_] | None:
        """Return where a bit of the truth is set ``(H, W)``; ``None`` if it is not known or nowhere."""
        if self.truth is None:
            return None
        mask = (self.truth >> bit & 1).astype(bool)
        return mask if mask.any() else None

    def restore(self, maps: torch.Tensor) -> NDArray[np.float32]:
        """Return maps of the network's input ``(K, S, S)`` on the image's grid, ``(K, H, W)``."""
        restored: NDArray[np.float32] = self.placement.restore(maps.detach().float().cpu()).numpy()
        return restored
