"""How the pixels of a pyramid are kept: colours as JPEG or without loss, values as they are."""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

__all__ = ["FLOAT_VALUES", "JPEG", "LOSSLESS_COLOURS", "Storage", "jpeg_colours"]

JPEG: dict[str, Any] = {"photometric": "ycbcr", "subsampling": (2, 2), "compression": "jpeg"}
LOSSLESS: dict[str, Any] = {"photometric": "rgb", "compression": "adobe_deflate"}
VALUES: dict[str, Any] = {"photometric": "minisblack", "compression": "adobe_deflate"}


@dataclass(frozen=True)
class Storage:
    """How pixels are kept.

    Args:
        pixel: shape of one: ``(3,)`` for a colour, ``()`` for a value.
        dtype: of what it is made of.
        options: that tell tifffile.
        encode: compresses a tile ``(T, T, *pixel)``.
        halve: makes of rows ``(h, w, *pixel)`` those of the next level, ``(⌈h / 2⌉, ⌈w / 2⌉, *pixel)``.
    """

    pixel: tuple[int, ...]
    dtype: type[np.generic]
    options: Mapping[str, Any]
    encode: Callable[[NDArray[Any]], bytes | memoryview]
    halve: Callable[[NDArray[Any]], NDArray[Any]]


def _even(rows: NDArray[Any]) -> NDArray[Any]:
    """Repeat an odd last row or column."""
    padding = ((0, rows.shape[0] % 2), (0, rows.shape[1] % 2), *((0, 0),) * (rows.ndim - 2))
    return np.pad(rows, padding, mode="edge")


def _halved_colours(rows: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the means of squares of 2 × 2 pixels; an odd last row or column is repeated."""
    even = _even(rows)
    total = np.zeros((even.shape[0] // 2, even.shape[1] // 2, 3), dtype=np.uint16)
    for row in (0, 1):
        for column in (0, 1):
            total += even[row::2, column::2]
    return ((total + 2) // 4).astype(np.uint8)


def _halved_values(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the means of what of squares of 2 × 2 pixels is a value; an odd last row or column is repeated."""
    even = _even(rows)
    total = np.zeros((even.shape[0] // 2, even.shape[1] // 2))
    number = np.zeros(total.shape, dtype=np.uint8)
    for row in (0, 1):
        for column in (0, 1):
            square = even[row::2, column::2]
            known = ~np.isnan(square)
            np.add(total, square, out=total, where=known)
            number += known
    with np.errstate(invalid="ignore"):
        return (total / number).astype(np.float32)  # 0 / 0 is NaN: no value


def _deflated(tile: NDArray[Any]) -> bytes:
    return zlib.compress(tile.tobytes(), level=6)


def jpeg_colours(quality: int) -> Storage:
    """Return the storage of colours as JPEG of a quality, 1 to 100."""

    def encode(tile: NDArray[np.uint8]) -> memoryview:
        encoded = io.BytesIO()
        Image.fromarray(tile).save(encoded, "JPEG", quality=quality, subsampling=2)
        return encoded.getbuffer()

    return Storage((3,), np.uint8, JPEG, encode, _halved_colours)


LOSSLESS_COLOURS = Storage((3,), np.uint8, LOSSLESS, _deflated, _halved_colours)
FLOAT_VALUES = Storage((), np.float32, VALUES, _deflated, _halved_values)
