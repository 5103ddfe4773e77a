"""What the file of a heat-map says beside its pixels: where it lies over the slide, and whose values it shows."""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["MapPlacement", "MapSubject"]


@dataclass(frozen=True)
class MapPlacement:
    """Where the pixels of a map's file lie: the upper left corner is the slide's, and all of the slide is covered.

    Args:
        size: width and height of the slide, pixels of level 0.
        downsample: pixels of level 0 that a pixel of the file spans along each axis; need not be whole.
        mpp: µm per pixel of level 0; None if not known.

    Example:
        >>> placement = MapPlacement((1021, 640), downsample=4.7, mpp=0.25)
        >>> placement.pixels, round(placement.pixel_um, 3)
        ((218, 137), 1.175)
    """

    size: tuple[int, int]
    downsample: float
    mpp: float | None = None

    @property
    def pixels(self) -> tuple[int, int]:
        """Width and height of the file; its last column and row may reach beyond the slide."""
        width, height = (math.ceil(length / self.downsample) for length in self.size)
        return width, height

    @property
    def pixel_um(self) -> float | None:
        """Side of the file's pixels, µm; None if the slide's scale is not known."""
        return None if self.mpp is None else self.mpp * self.downsample


@dataclass(frozen=True)
class MapSubject:
    """Whose values a map shows.

    Args:
        slide: name of the slide.
        method: title of the method.
        unit: what a value is.
    """

    slide: str
    method: str
    unit: str
