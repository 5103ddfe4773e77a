"""The pixels of a region of a phantom slide, and the coarse points at which outlines are evaluated for them."""

from __future__ import annotations

from functools import lru_cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from scripts.periodic_texture import turned_look_up

__all__ = ["MARGIN_UM", "Grid", "Shape", "Weight"]

FloatArray = NDArray[np.float64]
Floats = NDArray[np.float32]

#: share of each pixel ``(H, W)``; a single 1 for all of them; None for none
Weight = NDArray[np.float32] | np.float32 | None

#: distance of the points at which outlines are evaluated, µm; between them they are interpolated
PITCH_UM = 4.0
#: how far from an object its outline is still evaluated, µm
MARGIN_UM = 60.0
#: more than what rounding changes where outlines are interpolated, µm
ROUNDING_UM = 1e-2


class Shape(Protocol):
    """Something with an inside."""

    def depth(self, x: FloatArray, y: FloatArray) -> FloatArray:
        """Return how deep points ``(H, 1)``, ``(1, W)`` lie within it, µm."""

    def greatest_depth(self, left: float, right: float, top: float, bottom: float) -> float:
        """Return a depth that no point of a rectangle exceeds, µm."""


class Grid:
    """The pixels of a region, and the coarse points around them.

    Args:
        x, y: the first pixel.
        width, height: of the region, pixels.
        mpp: µm per pixel.
        shift: of random fields, pixels.
    """

    def __init__(self, x: int, y: int, width: int, height: int, mpp: float, shift: tuple[int, int]) -> None:
        self.shift = shift
        self.x, self.y, self.width, self.height, self.mpp = x, y, width, height, mpp
        pitch = max(1, round(PITCH_UM / mpp))
        columns, self._across = _points(x, width, pitch)
        rows, self._down = _points(y, height, pitch)
        self._gx = ((columns + 0.5) * mpp)[None, :]
        self._gy = ((rows + 0.5) * mpp)[:, None]
        self._sides = (float(self._gx[0, 0]), float(self._gx[0, -1]), float(self._gy[0, 0]), float(self._gy[-1, 0]))

    @property
    def points(self) -> tuple[FloatArray, FloatArray]:
        """The coarse points' places along x ``(1, P)`` and y ``(Q, 1)``, µm."""
        return self._gx, self._gy

    @property
    def pixels(self) -> tuple[FloatArray, FloatArray]:
        """The pixels' columns ``(1, W)`` and rows ``(H, 1)`` on the slide."""
        columns = np.arange(self.x, self.x + self.width, dtype=np.float64)
        rows = np.arange(self.y, self.y + self.height, dtype=np.float64)
        return columns[None, :], rows[:, None]

    def weight_within(
        self, outline: Shape, soft_um: float, offset: Floats | None = None, deeper_um: float = 0.0
    ) -> Weight:
        """Return :meth:`weight` of the part of an outline that lies so much deeper, without a look at what is far."""
        if outline.greatest_depth(*self._sides) - deeper_um < -MARGIN_UM - soft_um:
            return None
        depth = outline.depth(*self.points)
        return self.weight(depth - deeper_um if deeper_um else depth, soft_um, offset)

    def weight(self, depth: FloatArray, soft_um: float, offset: Floats | None = None) -> Weight:
        """Return 1 within an outline, 0 outside, linear over ``soft_um`` between.

        Args:
            depth: of the coarse points within the outline, µm.
            soft_um: width of the edge.
            offset: by which each pixel lies deeper, µm, ``(H, W)``.
        """
        if depth.max() < -MARGIN_UM - soft_um:
            return None
        # what is interpolated lies between the coarse points: most regions are all inside or all outside
        edge = soft_um / 2 + ROUNDING_UM + (0.0 if offset is None else float(np.abs(offset).max()))
        if depth.max() < -edge:
            return None
        if depth.min() > edge:
            return np.float32(1)
        weight = self.fine(depth)
        if offset is not None:
            weight += offset
        weight /= np.float32(soft_um)
        weight += np.float32(0.5)
        np.clip(weight, 0, 1, out=weight)
        return weight if weight.any() else None

    def field(self, texture: Floats, length_um: float) -> Floats:
        """Return a periodic random field ``(1, S, S)`` of a correlation length, four of its pixels long, ``(H, W)``."""
        pitch = length_um / 4
        return self.fine(turned_look_up(texture, self._gx / pitch, self._gy / pitch, 0.0, 1.0, self.shift)[0])

    def fine(self, coarse: NDArray[np.floating]) -> Floats:
        """Return what the pixels have of values at the coarse points, linearly, ``(H, W)``."""
        return self._down @ coarse.astype(np.float32) @ self._across.T


@lru_cache(maxsize=64)
def _points(start: int, length: int, pitch: int) -> tuple[FloatArray, Floats]:
    """Return P coarse positions around pixels from ``start`` on, and the matrix ``(length, P)`` between them."""
    first = start // pitch
    number = (start + length - 1) // pitch - first + 2
    where = np.arange(start, start + length) / pitch - first
    lower = np.floor(where).astype(np.int64)
    matrix = np.zeros((length, number), dtype=np.float32)
    matrix[np.arange(length), lower] = 1 - (where - lower)
    matrix[np.arange(length), lower + 1] = where - lower
    return np.asarray((first + np.arange(number)) * pitch, dtype=np.float64), matrix
