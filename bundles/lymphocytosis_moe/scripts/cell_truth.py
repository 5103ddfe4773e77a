"""What is known of the cells of generated patients: which are abnormal, and where the cause of a class lies."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from shared.data.arrays import read_image
from shared.data.errors import DataError

__all__ = ["abnormal_cells", "cause_mask", "cells_with_cause", "region_mask"]

TUMORAL = 1


def abnormal_cells(record: Mapping[str, Any]) -> NDArray[np.bool_] | None:
    """Return which cells of a patient are abnormal, ``(N,)``; ``None`` if that is not known."""
    labels = record.get("instance_label")
    return None if labels is None else np.asarray(labels, dtype=bool)


def cells_with_cause(record: Mapping[str, Any], target: int) -> NDArray[np.intp]:
    """Return the indices of the cells that may show the cause of a class: the abnormal ones, or the others.

    A tumoral patient has normal cells too, and granules in one of them are no cause of the diagnosis.

    Args:
        record: of a patient; without truth there are no such cells.
        target: 0 (reactive) or 1 (tumoral).
    """
    abnormal = abnormal_cells(record)
    if abnormal is None or "truth" not in record:
        return np.zeros(0, dtype=np.intp)
    return np.flatnonzero(abnormal == (target == TUMORAL))


def cause_mask(path: str | os.PathLike[str], bit: int, shape: Sequence[int]) -> NDArray[np.bool_] | None:
    """Read where the cause lies in an image.

    Args:
        path: bit image of the cell's regions.
        bit: the bit that marks the cause.
        shape: rows and columns of the network's input, to which the mask is resized (nearest neighbour).

    Returns:
        ``(H, W)``; ``None`` if the cause is nowhere in it.

    Raises:
        DataError: if the file is not a readable image of one channel of integers.
    """
    mask = region_mask(path, bit, shape)
    return mask if mask.any() else None


def region_mask(path: str | os.PathLike[str], bit: int, shape: Sequence[int] | None = None) -> NDArray[np.bool_]:
    """Read where a region lies in an image, ``(H, W)``.

    Args:
        path: bit image of the cell's regions.
        bit: the bit that marks the region.
        shape: rows and columns to which the mask is resized (nearest neighbour); ``None`` for those of the file.

    Raises:
        DataError: if the file is not a readable image of one channel of integers.
    """
    truth = read_image(path)
    if truth.ndim != 2 or truth.dtype.kind not in "iu":
        raise DataError(
            f"{path}: expected a bit image (H, W), found {truth.dtype} {truth.shape}; prepare the data anew"
        )
    mask = (truth & bit) > 0
    if shape is not None and mask.shape != tuple(shape):
        resized = Image.fromarray(mask.astype(np.uint8)).resize((shape[1], shape[0]), Image.Resampling.NEAREST)
        mask = np.asarray(resized) > 0
    return mask
