"""Regions of a texture that repeats without an end, as they are or turned, magnified and moved."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["look_up", "turned_look_up"]

FloatArray = NDArray[np.float64]
Texture = NDArray[np.float32]


def look_up(texture: Texture, x: int, y: int, width: int, height: int) -> Texture:
    """Return a region of an endlessly repeated texture ``(K, S, S)`` from pixel (x, y) on, ``(K, height, width)``.

    It is a part of the texture itself where that is possible: not to be written to.
    """
    rows, columns = _pieces(y, height, texture.shape[1]), _pieces(x, width, texture.shape[2])
    if len(rows) == len(columns) == 1:
        return texture[:, rows[0][1], columns[0][1]]
    region = np.empty((len(texture), height, width), dtype=texture.dtype)
    for into_rows, from_rows in rows:
        for into_columns, from_columns in columns:
            region[:, into_rows, into_columns] = texture[:, from_rows, from_columns]
    return region


def turned_look_up(
    texture: Texture, x: FloatArray, y: FloatArray, angle: float, scale: float, shift: tuple[float, float]
) -> Texture:
    """Return a repeated texture turned, magnified and moved, at pixels ``(1, W)``, ``(H, 1)``, bilinearly.

    Args:
        texture: ``(K, S, S)``, S a power of two.
        x: columns of the pixels.
        y: rows of the pixels.
        angle: by which the texture is turned, radians.
        scale: by which it is magnified.
        shift: by which it is moved, pixels.

    Returns:
        ``(K, H, W)``.

    Raises:
        ValueError: if S is no power of two.
    """
    size = texture.shape[1]
    if size & (size - 1):
        raise ValueError(f"texture: found {size} pixels a side, expected a power of two")
    u = (x * np.cos(angle) + y * np.sin(angle)) / scale + shift[0]
    v = (y * np.cos(angle) - x * np.sin(angle)) / scale + shift[1]
    column, row = np.floor(u), np.floor(v)
    right, below = (u - column).astype(np.float32), (v - row).astype(np.float32)
    # the remainder of a division by a power of two; indices of one axis are looked up three times as fast as of two
    c0, r0 = column.astype(np.intp) & (size - 1), row.astype(np.intp) & (size - 1)
    c1, r1 = (c0 + 1) & (size - 1), ((r0 + 1) & (size - 1)) * size
    r0 *= size
    flat, left, above = texture.reshape(len(texture), -1), 1 - right, 1 - below
    upper = flat.take(r0 + c0, axis=1) * left + flat.take(r0 + c1, axis=1) * right
    lower = flat.take(r1 + c0, axis=1) * left + flat.take(r1 + c1, axis=1) * right
    return upper * above + lower * below


def _pieces(start: int, length: int, period: int) -> list[tuple[slice, slice]]:
    """Return which parts of a range from ``start`` on are which parts of what is repeated.

    Example:
        >>> _pieces(9, 4, 10)
        [(slice(0, 1, None), slice(9, 10, None)), (slice(1, 4, None), slice(0, 3, None))]
    """
    pieces, done = [], 0
    while done < length:
        first = (start + done) % period
        taken = min(period - first, length - done)
        pieces.append((slice(done, done + taken), slice(first, first + taken)))
        done += taken
    return pieces
