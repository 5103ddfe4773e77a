"""A pyramidal tiled TIFF written in stripes, as slides are stored: all levels grow at once, and none is ever held."""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from shared.data.files import atomic_path

__all__ = ["Render", "write_pyramid"]

#: ``render(x, y, width, height)`` returns the pixels there, ``(height, width, 3)`` uint8
Render = Callable[[int, int, int, int], NDArray[np.uint8]]

#: width of what is rendered at once, pixels
BLOCK_PX = 1024

_SHORT, _LONG, _RATIONAL, _LONG8, _ASCII = 3, 4, 5, 16, 2
_FORMATS = {_SHORT: "H", _LONG: "I", _LONG8: "Q"}
_JPEG, _YCBCR, _CENTIMETRE = 7, 6, 3


def write_pyramid(
    path: str | os.PathLike[str],
    size: tuple[int, int],
    render: Render,
    mpp: float | None,
    tile: int = 256,
    smallest: int = 512,
    quality: int = 85,
    description: str = "phantom",
) -> Path:
    """Write a slide, atomically.

    tifffile writes one level after the other, so that the lower ones would have to be kept. A TIFF lets the tiles of
    all levels lie in any order: here each is appended as soon as its pixels are there, and the directories, which say
    where each tile is, come last. Memory is that of one stripe of tiles of each level.

    Args:
        path: the file (BigTIFF, JPEG-compressed tiles).
        size: width and height in pixels.
        render: returns the pixels of any region.
        mpp: µm per pixel, which goes into the file; None leaves it out.
        tile: side of a tile, a multiple of 16.
        smallest: levels are halved until both sides are at most this.
        quality: of the JPEG.
        description: of the image.

    Returns:
        The path.
    """
    width, height = size
    with atomic_path(path) as temporary, temporary.open("w+b") as file:
        file.write(struct.pack("<2sHHHQ", b"II", 43, 8, 0, 0))
        base = _Level(file, width, height, tile, smallest, quality)
        for top in range(0, height, tile):
            rows = min(tile, height - top)
            blocks = [render(left, top, min(BLOCK_PX, width - left), rows) for left in range(0, width, BLOCK_PX)]
            base.add(np.concatenate(blocks, axis=1))
        base.finish()
        _write_directories(file, base, mpp, description)
    return Path(path)


class _Level:
    """One level, which takes rows of pixels and hands rows of half the size on to the next."""

    def __init__(self, file: BinaryIO, width: int, height: int, tile: int, smallest: int, quality: int) -> None:
        self.file, self.width, self.height, self.tile, self.quality = file, width, height, tile, quality
        self.offsets: list[int] = []
        self.sizes: list[int] = []
        self._pending = np.empty((tile, width, 3), dtype=np.uint8)
        self._filled = 0
        halves = (-(-width // 2), -(-height // 2))
        last = max(width, height) <= smallest
        self.next: _Level | None = None if last else _Level(file, *halves, tile, smallest, quality)

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
        """Write what is left, here and at the levels below."""
        if self._filled:
            self._flush()
        if self.next is not None:
            self.next.finish()

    def _flush(self) -> None:
        rows = self._pending[: self._filled]
        for left in range(0, self.width, self.tile):
            cut = rows[:, left : left + self.tile]
            padding = ((0, self.tile - cut.shape[0]), (0, self.tile - cut.shape[1]), (0, 0))
            encoded = io.BytesIO()
            picture = Image.fromarray(np.pad(cut, padding, mode="edge"))
            picture.save(encoded, "JPEG", quality=self.quality, subsampling=2)
            self.offsets.append(self.file.tell())
            self.sizes.append(self.file.write(encoded.getbuffer()))
        if self.next is not None:
            self.next.add(_halved(rows))
        self._filled = 0


def _halved(rows: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the means of squares of 2 × 2 pixels; an odd last row or column is repeated."""
    even = np.pad(rows, ((0, rows.shape[0] % 2), (0, rows.shape[1] % 2), (0, 0)), mode="edge")
    total = np.zeros((even.shape[0] // 2, even.shape[1] // 2, 3), dtype=np.uint16)
    for row in (0, 1):
        for column in (0, 1):
            total += even[row::2, column::2]
    return ((total + 2) // 4).astype(np.uint8)


def _write_directories(file: BinaryIO, base: _Level, mpp: float | None, description: str) -> None:
    """Append one directory for each level, linked from the header."""
    link, level, number = 8, base, 0
    while True:
        tags: list[tuple[int, int, bytes, int]] = [
            _number(254, _LONG, 0 if number == 0 else 1),  # a reduced image
            _number(256, _LONG, level.width),
            _number(257, _LONG, level.height),
            _numbers(258, _SHORT, [8, 8, 8]),
            _number(259, _SHORT, _JPEG),
            _number(262, _SHORT, _YCBCR),
            _number(277, _SHORT, 3),
            _number(284, _SHORT, 1),
            _number(322, _LONG, level.tile),
            _number(323, _LONG, level.tile),
            _numbers(324, _LONG8, level.offsets),
            _numbers(325, _LONG8, level.sizes),
            _numbers(530, _SHORT, [2, 2]),
        ]
        if number == 0:
            text = description.encode() + b"\0"
            tags.append((270, _ASCII, text, len(text)))
        if mpp is not None:
            per_centimetre = struct.pack("<II", round(1e4 / (mpp * 2**number) * 1000), 1000)
            tags += [(282, _RATIONAL, per_centimetre, 1), (283, _RATIONAL, per_centimetre, 1)]
            tags.append(_number(296, _SHORT, _CENTIMETRE))
        link = _write_directory(file, link, sorted(tags))
        if level.next is None:
            return
        level, number = level.next, number + 1


def _write_directory(file: BinaryIO, link: int, tags: list[tuple[int, int, bytes, int]]) -> int:
    """Write a directory, let ``link`` point at it, and return where its own link to the next one is."""
    places = []
    for _, _, values, _ in tags:
        places.append(file.tell())
        if len(values) > 8:
            file.write(values)
            file.write(b"\0" * (-len(values) % 8))
    start = file.tell()
    file.write(struct.pack("<Q", len(tags)))
    for (tag, kind, values, count), place in zip(tags, places, strict=True):
        value = values.ljust(8, b"\0") if len(values) <= 8 else struct.pack("<Q", place)
        file.write(struct.pack("<HHQ", tag, kind, count) + value)
    next_link = file.tell()
    file.write(struct.pack("<Q", 0))
    file.seek(link)
    file.write(struct.pack("<Q", start))
    file.seek(0, os.SEEK_END)
    return next_link


def _number(tag: int, kind: int, value: int) -> tuple[int, int, bytes, int]:
    return _numbers(tag, kind, [value])


def _numbers(tag: int, kind: int, values: list[int]) -> tuple[int, int, bytes, int]:
    return tag, kind, struct.pack(f"<{len(values)}{_FORMATS[kind]}", *values), len(values)
