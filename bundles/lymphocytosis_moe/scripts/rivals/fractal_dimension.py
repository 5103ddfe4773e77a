"""The fractal dimension of a grey-level surface over a mask."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["fractal_dimension"]

GREY_LEVELS = 256


def fractal_dimension(
    channels: NDArray[np.uint8], mask: NDArray[np.bool_], box_sizes: Sequence[int] = (2, 4, 8)
) -> NDArray[np.float64]:
    r"""Average fractal dimension by differential box counting.

    The image is divided into blocks of s × s pixels, and each block is covered by boxes of height
    :math:`h = 256 s / M`, M the longer side of the image. With

    .. math:: N(s) = \sum_{\text{blocks}} \lfloor g_{\max} / h \rfloor - \lfloor g_{\min} / h \rfloor + 1

    the result is the mean over consecutive box sizes of :math:`-\Delta \ln N / \Delta \ln s`: near 2 for a smooth
    surface, towards 3 for a rough one. Only pixels of the mask count, and only blocks that hold one; since coarse
    blocks reach further beyond a mask, a small one gives less than the full square would.

    Source: Sarkar and Chaudhuri 1994. The seed paper names an "average fractal dimension" without its definition;
    the average over scales is our reading.

    Args:
        channels: ``(H, W, C)``, uint8.
        mask: ``(H, W)``, not empty.
        box_sizes: sides of the blocks in pixels, ascending.

    Returns:
        ``(C,)``.
    """
    height, width, number = channels.shape
    largest = max(box_sizes)
    # what is outside the mask never is a block's largest or smallest value
    margin = ((0, -height % largest), (0, -width % largest), (0, 0))
    inside = np.pad(mask, margin[:2])[..., None]
    padded = np.pad(channels, margin).astype(np.int64)
    high, low = np.where(inside, padded, -1), np.where(inside, padded, GREY_LEVELS)
    boxes = np.empty((len(box_sizes), number))
    for position, size in enumerate(box_sizes):
        blocks = (high.shape[0] // size, size, high.shape[1] // size, size, number)
        top = high.reshape(blocks).max(axis=(1, 3))  # (H / s, W / s, C)
        bottom = low.reshape(blocks).min(axis=(1, 3))
        level = max(height, width) / (GREY_LEVELS * size)  # 1 / h
        counted = np.floor(top * level) - np.floor(bottom * level) + 1
        boxes[position] = np.where(top >= 0, counted, 0).sum(axis=(0, 1))
    slopes = -np.diff(np.log(boxes), axis=0) / np.diff(np.log(np.asarray(box_sizes)))[:, None]
    return slopes.mean(axis=0)
