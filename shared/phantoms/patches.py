"""Many small objects in many images at once: each is drawn on a patch of its own, and the patches are added up."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["add_patches", "patch_offsets"]

FloatArray = NDArray[np.float64]


def patch_offsets(rows: FloatArray, columns: FloatArray, reach: int) -> tuple[FloatArray, FloatArray]:
    """Return how far the pixels of each object's patch lie from its centre, with their sub-pixel part.

    Args:
        rows: of the centres in pixels, ``(G,)``.
        columns: of the centres in pixels, ``(G,)``.
        reach: pixels of the patch on every side of the middle one; P = 2 × ``reach`` + 1.

    Returns:
        Row offsets ``(G, P, 1)`` and column offsets ``(G, 1, P)`` in pixels.

    Example:
        >>> dy, _ = patch_offsets(np.array([4.25]), np.array([0.0]), 1)
        >>> dy.ravel().tolist()
        [-1.25, -0.25, 0.75]
    """
    offsets = np.arange(-reach, reach + 1)
    dy = offsets - (rows - np.rint(rows))[:, None]
    dx = offsets - (columns - np.rint(columns))[:, None]
    return dy[:, :, None], dx[:, None, :]


def add_patches(
    canvas: NDArray[np.floating],
    image: NDArray[np.int64],
    rows: FloatArray,
    columns: FloatArray,
    patches: NDArray[np.floating],
) -> None:
    """Add patches to images, in place. What lies beyond an image's border is cut off; where patches overlap they add.

    Args:
        canvas: the images, ``(N, H, W)``.
        image: index of each patch's image, ``(G,)``.
        rows: of the centres in pixels, ``(G,)``, as given to :func:`patch_offsets`.
        columns: of the centres in pixels, ``(G,)``.
        patches: ``(G, P, P)`` with odd P.

    Example:
        >>> canvas = np.zeros((1, 2, 3))
        >>> add_patches(canvas, np.array([0]), np.array([0.2]), np.array([2.0]), np.ones((1, 3, 3)))
        >>> canvas[0].tolist()
        [[0.0, 1.0, 1.0], [0.0, 1.0, 1.0]]
    """
    height, width = canvas.shape[1:]
    reach = patches.shape[1] // 2
    offsets = np.arange(-reach, reach + 1)
    y = (np.rint(rows).astype(np.int64)[:, None] + offsets)[:, :, None]  # (G, P, 1)
    x = (np.rint(columns).astype(np.int64)[:, None] + offsets)[:, None, :]  # (G, 1, P)
    inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)  # (G, P, P)
    place = (image[:, None, None] * height + y) * width + x
    # bincount sums repeated places several times faster than np.add.at
    total = np.bincount(place[inside], weights=patches[inside], minlength=canvas.size)
    canvas += total.reshape(canvas.shape).astype(canvas.dtype)
