"""A whole-slide image read by physical scale: whatever its levels are, a region comes at the wanted µm per pixel."""

from __future__ import annotations

import ctypes
import math
import os
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import openslide
from numpy.typing import NDArray
from openslide import lowlevel
from PIL import Image

from shared.data.errors import DataError

__all__ = ["Slide", "TileGeometry"]

#: µm per pixel outside of which a slide's own statement is taken for a default of the software that wrote it
PLAUSIBLE_MPP = (0.05, 20.0)
#: greatest relative difference of the scales along x and y, and of a level's scale to the wanted one to be taken as is
SCALE_TOLERANCE = 0.02
#: greatest side of what is read at once for an overview, pixels
STRIP_PX = 2048

_HOW_TO_GIVE_MPP = (
    "give its µm per pixel in the column 'mpp' of the table (slides.csv), or for all slides by --slide_mpp 0.25 in "
    "preparing, by --prepare_overrides#slide_mpp 0.25 in inferring and explaining"
)


@dataclass(frozen=True)
class TileGeometry:
    """How tiles of one slide are read.

    Args:
        tile_size: side of a tile as the encoder gets it, pixels.
        level0_tile_size: side of the square that it shows, pixels of level 0.
        level: the level that is read.
        level_tile_size: side of the square in pixels of that level.
        downsample: of that level.
        mpp: µm per pixel of the tile, ``level0_tile_size`` × µm per pixel of the slide / ``tile_size``.
    """

    tile_size: int
    level0_tile_size: int
    level: int
    level_tile_size: float
    downsample: float
    mpp: float

    @property
    def resampled(self) -> bool:
        """Whether the level's pixels are not those of the tile."""
        return self.level_tile_size != self.tile_size


class Slide:
    """A slide of any format that OpenSlide reads.

    Args:
        path: the slide's file.
        mpp: µm per pixel of level 0 in place of what the file says; needed where it says nothing.

    Raises:
        DataError: if the file is missing, is no slide or is damaged, if its scale is unknown, implausible or not the
            same along x and y.
    """

    def __init__(self, path: str | os.PathLike[str], mpp: float | None = None) -> None:
        self.path = Path(path)
        self._image = self._open()
        self._given_mpp = mpp
        self._buffer = np.empty((0, 0, 4), dtype=np.uint8)
        #: width and height of level 0 in pixels
        self.size: tuple[int, int] = self._image.dimensions
        #: of each level, 1.0 first
        self.downsamples: tuple[float, ...] = self._image.level_downsamples
        #: width and height of each level in pixels
        self.level_sizes: tuple[tuple[int, int], ...] = self._image.level_dimensions
        colour = self._image.properties.get(openslide.PROPERTY_NAME_BACKGROUND_COLOR, "FFFFFF")
        self._background = tuple(int(colour[i : i + 2], 16) for i in (0, 2, 4))
        try:
            #: µm per pixel of level 0
            self.mpp: float = self._scale() if mpp is None else _plausible(mpp, f"{self.path}: the given mpp")
        except DataError:
            self.close()
            raise

    def __enter__(self) -> Slide:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        """A slide goes to another process as its path, and is opened there."""
        return Slide, (self.path, self._given_mpp)

    @property
    def vendor(self) -> str:
        """OpenSlide's name of the format."""
        return self._image.properties.get(openslide.PROPERTY_NAME_VENDOR, "unknown")

    def close(self) -> None:
        """Close the file."""
        self._image.close()

    def reopen(self) -> None:
        """Open the file anew: after a failed read OpenSlide answers every other one with the same error."""
        self.close()
        self._image = self._open()

    def best_level(self, downsample: float) -> int:
        """Return the smallest level that has at least the resolution of level 0 divided by ``downsample``.

        A level whose scale differs from the wanted one by no more than 2 % counts as having it.
        """
        fitting = [level for level, have in enumerate(self.downsamples) if have <= downsample * (1 + SCALE_TOLERANCE)]
        return max(fitting, key=lambda level: self.downsamples[level], default=0)

    def tile_geometry(self, tile_size: int, mpp: float) -> TileGeometry:
        """Return how tiles of ``tile_size`` pixels at ``mpp`` µm per pixel are read from this slide.

        If a level has that scale within 2 %, its pixels are taken as they are. Otherwise the next finer level is
        resampled; the square at level 0 has whole pixels, so that neighbouring tiles meet exactly, and ``mpp`` of the
        result is the scale that follows.

        Raises:
            DataError: if the slide is coarser than wanted: its tiles would show detail that is not there.
        """
        downsample = mpp / self.mpp
        if downsample < 1 - SCALE_TOLERANCE:
            raise DataError(
                f"{self.path}: has {self.mpp:g} µm per pixel at its finest, and tiles of {mpp:g} µm per pixel are "
                f"wanted; leave the slide out or choose --mpp {self.mpp:g} or coarser for all slides"
            )
        level = self.best_level(downsample)
        exact = abs(self.downsamples[level] / downsample - 1) <= SCALE_TOLERANCE
        level0_tile_size = round(tile_size * (self.downsamples[level] if exact else downsample))
        return TileGeometry(
            tile_size=tile_size,
            level0_tile_size=level0_tile_size,
            level=level,
            level_tile_size=tile_size if exact else level0_tile_size / self.downsamples[level],
            downsample=self.downsamples[level],
            mpp=level0_tile_size * self.mpp / tile_size,
        )

    def read_tile(self, x: int, y: int, geometry: TileGeometry) -> NDArray[np.uint8]:
        """Read one tile, ``(tile_size, tile_size, 3)`` RGB.

        Args:
            x: left edge in pixels of level 0.
            y: upper edge.
            geometry: of this slide's tiles.

        Raises:
            DataError: if the region cannot be decoded. The slide is usable afterwards.
        """
        size = geometry.tile_size
        if not geometry.resampled:
            return np.asarray(self._read(x, y, geometry.level, (size, size)))
        left, top = x / geometry.downsample, y / geometry.downsample
        column, row = math.floor(left), math.floor(top)
        # a margin of one pixel, since the square begins between two
        side = math.ceil(geometry.level_tile_size) + 1
        region = self._read(
            round(column * geometry.downsample), round(row * geometry.downsample), geometry.level, (side, side)
        )
        box = (left - column, top - row, left - column + geometry.level_tile_size, top - row + geometry.level_tile_size)
        return np.asarray(region.resize((size, size), Image.Resampling.HAMMING, box=box))

    def overview(self, mpp: float, largest: int = 4_000_000) -> tuple[NDArray[np.uint8], float]:
        """Return the whole slide, small, and its downsample.

        Read in strips: a slide without small levels takes time and no memory.

        Args:
            mpp: wanted µm per pixel; never finer than the slide.
            largest: greatest number of pixels; the overview of a larger slide is coarser.

        Returns:
            ``(H, W, 3)`` RGB, and how many pixels of level 0 one of its pixels spans along each axis (the last row
            and column may lie partly beyond the slide).

        Raises:
            DataError: if the slide cannot be decoded.
        """
        width, height = self.size
        downsample = max(1.0, mpp / self.mpp, math.sqrt(width * height / largest))
        level = self.best_level(downsample)
        factor = downsample / self.downsamples[level]
        columns, rows = math.ceil(width / downsample), math.ceil(height / downsample)
        picture = np.empty((rows, columns, 3), dtype=np.uint8)
        step = max(1, int(STRIP_PX / factor))
        for top in range(0, rows, step):
            for left in range(0, columns, step):
                shape = (min(step, rows - top), min(step, columns - left))
                picture[top : top + shape[0], left : left + shape[1]] = self._strip(top, left, shape, factor, level)
        return picture, downsample

    def _strip(self, top: int, left: int, shape: tuple[int, int], factor: float, level: int) -> NDArray[np.uint8]:
        """Return pixels of an overview that is ``factor`` times coarser than a level."""
        downsample = self.downsamples[level]
        column, row = math.floor(left * factor), math.floor(top * factor)
        side = (math.ceil((left + shape[1]) * factor) - column, math.ceil((top + shape[0]) * factor) - row)
        region = self._read(round(column * downsample), round(row * downsample), level, side)
        box = (
            left * factor - column,
            top * factor - row,
            (left + shape[1]) * factor - column,
            (top + shape[0]) * factor - row,
        )
        return np.asarray(region.resize((shape[1], shape[0]), Image.Resampling.BOX, box=box))

    def _open(self) -> openslide.OpenSlide:
        if not self.path.is_file():
            raise DataError(f"{self.path}: no such slide; correct the table, or put the file there")
        try:
            return openslide.OpenSlide(str(self.path))
        except openslide.OpenSlideUnsupportedFormatError as error:
            raise DataError(
                f"{self.path}: not a slide that OpenSlide {openslide.__library_version__} reads; expected a "
                "whole-slide format (svs, ndpi, mrxs, pyramidal tiled TIFF …); convert it, or copy it again if it "
                "was cut off"
            ) from error
        except openslide.OpenSlideError as error:
            raise DataError(f"{self.path}: damaged ({error}); copy the file again") from error

    def _scale(self) -> float:
        properties = self._image.properties
        try:
            along_x = float(properties[openslide.PROPERTY_NAME_MPP_X])
            along_y = float(properties[openslide.PROPERTY_NAME_MPP_Y])
        except (KeyError, ValueError) as error:
            raise DataError(f"{self.path}: does not say its µm per pixel; {_HOW_TO_GIVE_MPP}") from error
        if abs(along_x / along_y - 1) > SCALE_TOLERANCE:
            raise DataError(
                f"{self.path}: has {along_x:g} µm per pixel along x and {along_y:g} along y, expected the same; "
                f"{_HOW_TO_GIVE_MPP}"
            )
        return _plausible((along_x + along_y) / 2, f"{self.path}: its µm per pixel")

    def _read(self, x: int, y: int, level: int, size: tuple[int, int]) -> Image.Image:
        """Return a region in RGB; where the slide has no pixels, its background colour."""
        try:
            pixels = self._raw(x, y, level, size)
            # all opacities at once, four times as fast as their least
            if np.bitwise_and.reduce(pixels.view(np.uint32), axis=None) >> 24 == 255:
                return Image.frombuffer("RGB", size, pixels, "raw", "BGRX", 0, 1)
            region = self._image.read_region((x, y), level, size)
        except openslide.OpenSlideError as error:
            self.reopen()
            raise DataError(f"{self.path}: level {level} at x {x}, y {y} cannot be decoded ({error})") from error
        filled = Image.new("RGB", size, self._background)
        filled.paste(region, mask=region.getchannel("A"))
        return filled

    def _raw(self, x: int, y: int, level: int, size: tuple[int, int]) -> NDArray[np.uint8]:
        """Return blue, green, red and opacity of a region, ``(height, width, 4)``, in a buffer that is used again.

        ``OpenSlide.read_region`` takes new memory for each region and makes RGBA of it, which would then be made RGB:
        together a fifth of the time of a tile.
        """
        if self._buffer.shape[:2] != size[::-1]:
            self._buffer = np.empty((size[1], size[0], 4), dtype=np.uint8)
        target = ctypes.cast(self._buffer.ctypes.data, ctypes.POINTER(ctypes.c_uint32))
        lowlevel._read_region(self._image._osr, target, x, y, level, *size)
        return self._buffer


def _plausible(mpp: float, what: str) -> float:
    low, high = PLAUSIBLE_MPP
    if not low <= mpp <= high:
        raise DataError(f"{what} is {mpp:g}, expected {low:g} to {high:g}; {_HOW_TO_GIVE_MPP}")
    return mpp
