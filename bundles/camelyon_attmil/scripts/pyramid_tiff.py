"""A pyramidal tiled TIFF written in stripes: all levels grow at once, and none is ever held.

The levels lie one after the other, as in the slides of most scanners and as OpenSlide reads them, or below the first
one (SubIFDs), with a description in XML, as OME-TIFF has them.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from scripts.pixel_storage import FLOAT_VALUES, LOSSLESS_COLOURS, Storage, jpeg_colours
from shared.data.files import atomic_path

__all__ = ["Render", "write_ome_pyramid", "write_pyramid"]

#: ``render(x, y, width, height)`` returns the pixels there: colours ``(height, width, 3)`` uint8, or values
#: ``(height, width)`` float32
Render = Callable[[int, int, int, int], NDArray[Any]]

#: width of what is rendered at once, pixels
BLOCK_PX = 1024

#: halved until both sides are at most so many pixels
SMALLEST_PX = 512


def write_pyramid(
    path: str | os.PathLike[str],
    size: tuple[int, int],
    render: Render,
    mpp: float | None,
    tile: int = 256,
    smallest: int = SMALLEST_PX,
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
    storage = LOSSLESS_COLOURS if quality is None else jpeg_colours(quality)
    with (
        _levels(size, tile, smallest, storage) as levels,
        atomic_path(path) as temporary,
        tifffile.TiffWriter(temporary, bigtiff=True) as file,
    ):
        for number, level in enumerate(levels):
            file.write(
                _rendered(level, render) if number == 0 else level.waiting(),
                **level.options,
                **_resolution(mpp, number),
                subfiletype=int(number > 0),  # 1: a reduced image
                description=description if number == 0 else None,
                metadata=None,
            )
    return Path(path)


def write_ome_pyramid(
    path: str | os.PathLike[str],
    size: tuple[int, int],
    render: Render,
    mpp: float | None,
    metadata: Mapping[str, Any],
    tile: int = 256,
    smallest: int = SMALLEST_PX,
) -> Path:
    """Write values as OME-TIFF, atomically: one channel of float32, its lower levels as SubIFDs.

    NaN is no value; a pixel of a lower level is the mean of those of its four that are values. Memory is as with
    :func:`write_pyramid`.

    Args:
        path: the file, ``.ome.tif``.
        size: width and height in pixels.
        render: returns the values of any region.
        mpp: µm per pixel, which goes into the file; None leaves it out.
        metadata: of the image, by the names that tifffile has for those of OME-XML (``Name``, ``Channel``, …).
        tile: side of a tile, a multiple of 16.
        smallest: levels are halved until both sides are at most this.

    Returns:
        The path.
    """
    scale = {} if mpp is None else {f"PhysicalSize{axis}": mpp for axis in "XY"}
    units = {f"{key}Unit": "µm" for key in scale}
    with (
        _levels(size, tile, smallest, FLOAT_VALUES) as levels,
        atomic_path(path) as temporary,
        tifffile.TiffWriter(temporary, bigtiff=True, ome=True) as file,
    ):
        for number, level in enumerate(levels):
            first = number == 0
            file.write(
                _rendered(level, render) if first else level.waiting(),
                **level.options,
                **_resolution(mpp, number),
                subfiletype=int(not first),
                subifds=len(levels) - 1 if first else 0,
                metadata={"axes": "YX", **scale, **units, **metadata} if first else None,
            )
    return Path(path)


@contextmanager
def _levels(size: tuple[int, int], tile: int, smallest: int, storage: Storage) -> Iterator[list[_Level]]:
    """Yield the levels, the largest first, and let go of their temporary files."""
    levels = [_Level(*size, tile, storage)]
    try:
        while max(levels[-1].width, levels[-1].height) > smallest:
            levels.append(levels[-1].halved())
        yield levels
    finally:
        for level in levels:
            level.file.close()


def _resolution(mpp: float | None, level: int) -> dict[str, Any]:
    """Return the tags that say how far a pixel of a level reaches."""
    if mpp is None:
        return {"resolution": None, "resolutionunit": None}
    return {"resolution": (1e4 / (mpp * 2**level),) * 2, "resolutionunit": "CENTIMETER"}


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

    def __init__(self, width: int, height: int, tile: int, storage: Storage) -> None:
        self.width, self.height, self.tile, self.storage = width, height, tile, storage
        self.file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by who made the level
        self.sizes: list[int] = []
        self.next: _Level | None = None
        self._pending = np.empty((tile, width, *storage.pixel), dtype=storage.dtype)
        self._filled = 0

    @property
    def options(self) -> dict[str, Any]:
        """What tifffile needs to know of the level."""
        return {
            "shape": (self.height, self.width, *self.storage.pixel),
            "dtype": self.storage.dtype,
            "tile": (self.tile, self.tile),
            **self.storage.options,
        }

    def halved(self) -> _Level:
        """Make and return the next level."""
        self.next = _Level(-(-self.width // 2), -(-self.height // 2), self.tile, self.storage)
        return self.next

    def add(self, rows: NDArray[Any]) -> None:
        """Take further rows, ``(n, width, *pixel)``."""
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
            missing = [(0, self.tile - cut.shape[0]), (0, self.tile - cut.shape[1])]
            if missing != [(0, 0)] * 2:
                cut = np.pad(cut, missing + [(0, 0)] * len(self.storage.pixel), mode="edge")
            self.sizes.append(self.file.write(self.storage.encode(cut)))
        if self.next is not None:
            self.next.add(self.storage.halve(rows))
        self._filled = 0
