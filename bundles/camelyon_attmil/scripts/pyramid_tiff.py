"""A pyramidal tiled TIFF written in stripes, as slides are stored: all levels grow at once, and none is ever held."""

from __future__ import annotations

import io
import os
import tempfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

from shared.data.files import atomic_path

__all__ = ["Render", "write_pyramid"]

#: ``render(x, y, width, height)`` returns the pixels there, ``(height, width, 3)`` uint8
Render = Callable[[int, int, int, int], NDArray[np.uint8]]

#: width of what is rendered at once, pixels
BLOCK_PX = 1024

JPEG: dict[str, Any] = {"photometric": "ycbcr", "subsampling": (2, 2), "compression": "jpeg"}
LOSSLESS: dict[str, Any] = {"photometric": "rgb", "compression": "adobe_deflate"}


def write_pyramid(
    path: str | os.PathLike[str],
    size: tuple[int, int],
    render: Render,
    mpp: float | None,
    tile: int = 256,
    smallest: int = 512,
    quality: int | None = 85,
    description: str = "phantom",
) -> Path:
    """Write a slide, atomically.

    tifffile writes one level after the other. The tiles of the lower ones, which come about while the first is
    written, wait encoded in temporary files. Memory is that of one stripe of tiles of each level.

    Args:
        path: the file (BigTIFF, tiles compressed by JPEG or Deflate).
        size: width and height in pixels.
        render: returns the pixels of any region.
        mpp: µm per pixel, which goes into the file; None leaves it out.
        tile: side of a tile, a multiple of 16.
        smallest: levels are halved until both sides are at most this.
        quality: of the JPEG; None keeps every pixel's colour, by Deflate.
        description: of the image.

    Returns:
        The path.
    """
    levels = [_Level(*size, tile, quality)]
    try:
        while max(levels[-1].width, levels[-1].height) > smallest:
            levels.append(levels[-1].halved())
        with atomic_path(path) as temporary, tifffile.TiffWriter(temporary, bigtiff=True) as file:
            for number, level in enumerate(levels):
                file.write(
                    _rendered(level, render) if number == 0 else level.waiting(),
                    shape=(level.height, level.width, 3),
                    dtype=np.uint8,
                    tile=(tile, tile),
                    **(LOSSLESS if quality is None else JPEG),
                    subfiletype=int(number > 0),  # 1: a reduced image
                    resolution=None if mpp is None else (1e4 / (mpp * 2**number),) * 2,
                    resolutionunit=None if mpp is None else "CENTIMETER",
                    description=description if number == 0 else None,
                    metadata=None,
                )
    finally:
        for level in levels:
            level.file.close()
    return Path(path)


def _rendered(level: _Level, render: Render) -> Iterator[bytes]:
    """Render the first level in stripes, and yield its tiles."""
    for top in range(0, level.height, level.tile):
        rows = min(level.tile, level.height - top)
        lefts = range(0, level.width, BLOCK_PX)
        blocks = [render(left, top, min(BLOCK_PX, level.width - left), rows) for left in lefts]
        level.add(np.concatenate(blocks, axis=1))
        if top + level.tile >= level.height:
            level.finish()
        yield from level.waiting()


class _Level:
    """One level, which takes rows of pixels and hands rows of half the size on to the next.

    Its tiles wait, encoded, in a temporary file.
    """

    def __init__(self, width: int, height: int, tile: int, quality: int | None) -> None:
        self.width, self.height, self.tile, self.quality = width, height, tile, quality
        self.file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by who made the level
        self.sizes: list[int] = []
        self.next: _Level | None = None
        self._pending = np.empty((tile, width, 3), dtype=np.uint8)
        self._filled = 0

    def halved(self) -> _Level:
        """Make and return the next level."""
        self.next = _Level(-(-self.width // 2), -(-self.height // 2), self.tile, self.quality)
        return self.next

    def add(self, rows: NDArray[np.uint8]) -> None:
        """Take further rows, ``(n, width, 3)``."""
        while len(rows):
            taken = min(self.tile - self._filled, len(rows))
            self._pending[self._filled : self._filled + taken] = rows[:taken]
            self._filled += taken
            rows = rows[taken:]
            if self._filled == self.tile:
                self._flush()

    def finish(self) -> None:
        """Encode what is left, here and at the levels below."""
        if self._filled:
            self._flush()
        if self.next is not None:
            self.next.finish()

    def waiting(self) -> Iterator[bytes]:
        """Yield the tiles that wait, and forget them."""
        self.file.seek(0)
        for size in self.sizes:
            yield self.file.read(size)
        self.sizes = []
        self.file.seek(0)
        self.file.truncate()

    def _flush(self) -> None:
        rows = self._pending[: self._filled]
        for left in range(0, self.width, self.tile):
            cut = rows[:, left : left + self.tile]
            padding = ((0, self.tile - cut.shape[0]), (0, self.tile - cut.shape[1]), (0, 0))
            self.sizes.append(self.file.write(_encoded(np.pad(cut, padding, mode="edge"), self.quality)))
        if self.next is not None:
            self.next.add(_halved(rows))
        self._filled = 0


def _encoded(tile: NDArray[np.uint8], quality: int | None) -> bytes | memoryview:
    """Return a tile ``(T, T, 3)`` compressed."""
    if quality is None:
        return zlib.compress(tile.tobytes(), level=6)
    encoded = io.BytesIO()
    Image.fromarray(tile).save(encoded, "JPEG", quality=quality, subsampling=2)
    return encoded.getbuffer()


def _halved(rows: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the means of squares of 2 × 2 pixels; an odd last row or column is repeated."""
    even = np.pad(rows, ((0, rows.shape[0] % 2), (0, rows.shape[1] % 2), (0, 0)), mode="edge")
    total = np.zeros((even.shape[0] // 2, even.shape[1] // 2, 3), dtype=np.uint16)
    for row in (0, 1):
        for column in (0, 1):
            total += even[row::2, column::2]
    return ((total + 2) // 4).astype(np.uint8)
