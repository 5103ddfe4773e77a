"""Thin curved lines of any width, many thousand points at once: vessels, bronchi, catheters, septal lines."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

__all__ = ["Strokes", "curved_strokes", "draw_strokes"]

FloatArray = NDArray[np.float64]

# widths are rounded to steps of this ratio, so that all points of one step are blurred together
WIDTH_RATIO = 1.25
# a line thinner than the pixels is spread over this many of them (standard deviation), its amount unchanged
THINNEST_PX = 0.5


@dataclass(frozen=True)
class Strokes:
    """Points along lines, all arrays ``(P,)``, in any one unit of length.

    Args:
        x, y: where the points lie.
        std: standard deviation of the line's Gaussian profile there.
        peak: value in the middle of the line there, in whatever the lines are made of.
        step: length of line that the point stands for.
    """

    x: FloatArray
    y: FloatArray
    std: FloatArray
    peak: FloatArray
    step: FloatArray

    @classmethod
    def join(cls, parts: Iterable[Strokes]) -> Strokes:
        """Return the points of all parts together."""
        listed = list(parts)
        names = [field.name for field in fields(cls)]
        return cls(*(np.concatenate([np.zeros(0), *(getattr(part, name) for part in listed)]) for name in names))


def curved_strokes(
    x: ArrayLike,
    y: ArrayLike,
    angle: ArrayLike,
    length: ArrayLike,
    bend: ArrayLike,
    std: tuple[ArrayLike, ArrayLike],
    peak: tuple[ArrayLike, ArrayLike],
    points: int = 40,
) -> Strokes:
    """Return lines whose direction turns evenly on their way.

    ``position(u) = start + length ∫_0^u (cos, sin)(angle + bend t) dt`` for u from 0 to 1, by the midpoint rule.

    Args:
        x: of the starts, ``(N,)``.
        y: of the starts, ``(N,)``.
        angle: direction at the start, from x towards y, radians, ``(N,)``.
        length: of the lines, ``(N,)``.
        bend: by how much the direction turns from start to end, radians, ``(N,)``.
        std: at the start and at the end, each a number or ``(N,)``; linear between.
        peak: at the start and at the end, the same.
        points: number of points of each line, M.

    Returns:
        Points, those of a line one after the other, P = N × M.

    Example:
        >>> line = curved_strokes([1.0], [2.0], [0.0], [4.0], [0.0], (0.1, 0.1), (1.0, 0.0), points=4)
        >>> line.x.tolist(), line.peak.tolist()
        ([1.5, 2.5, 3.5, 4.5], [0.875, 0.625, 0.375, 0.125])
    """
    x, y, angle, length, bend = np.broadcast_arrays(
        *(np.atleast_1d(np.asarray(v, float)) for v in (x, y, angle, length, bend))
    )
    middle = (np.arange(points) + 0.5) / points  # (M,)
    step = (length / points)[:, None]
    edges = angle[:, None] + bend[:, None] * middle
    # the last half step of each sum brings the points to the middle of their pieces
    along_x, along_y = ((np.cumsum(part, axis=1) - part / 2) * step for part in (np.cos(edges), np.sin(edges)))

    def between(ends: tuple[ArrayLike, ArrayLike]) -> FloatArray:
        first, last = (np.broadcast_to(np.asarray(end, float), x.shape)[:, None] for end in ends)
        return ((1 - middle) * first + middle * last).ravel()

    return Strokes(
        (x[:, None] + along_x).ravel(),
        (y[:, None] + along_y).ravel(),
        between(std),
        between(peak),
        np.broadcast_to(step, along_x.shape).ravel(),
    )


def draw_strokes(strokes: Strokes, shape: tuple[int, int], pixel_size: float = 1.0) -> NDArray[np.float32]:
    """Draw lines; where they overlap they add. What lies beyond the border is cut off.

    Each point is laid on its four nearest pixels with the amount ``peak · std · √(2π) · step``, and the pixels of
    points of like width are blurred together, so that the time hardly depends on the number of points. A line narrower
    than the pixels keeps its amount, and so fades as it does in a camera.

    Args:
        strokes: lines; ``x`` along the columns and ``y`` along the rows, counted from the middle of the first pixel.
        shape: ``(H, W)``.
        pixel_size: length of a pixel in the strokes' unit.

    Returns:
        ``(H, W)``.
    """
    canvas = np.zeros(shape, np.float32)
    if strokes.x.size == 0:
        return canvas
    std = strokes.std / pixel_size
    amount = strokes.peak * std * math.sqrt(2 * math.pi) * strokes.step / pixel_size
    # the four nearest pixels blur by themselves, with a variance of 1/6 px² on average
    drawn = np.sqrt(np.maximum(std, THINNEST_PX) ** 2 - 1 / 6)
    group = np.rint(np.log(drawn) / math.log(WIDTH_RATIO)).astype(int)
    rows, columns = strokes.y / pixel_size, strokes.x / pixel_size
    for level in np.unique(group):
        chosen = group == level
        laid = _lay(rows[chosen], columns[chosen], amount[chosen], shape)
        canvas += ndimage.gaussian_filter(laid, WIDTH_RATIO**level, mode="constant", truncate=3.0)
    return canvas


def _lay(rows: FloatArray, columns: FloatArray, amount: FloatArray, shape: tuple[int, int]) -> NDArray[np.float32]:
    """Return an image with each amount divided among the four nearest pixels."""
    top, left = np.floor(rows).astype(np.int64), np.floor(columns).astype(np.int64)
    down, right = rows - top, columns - left
    y = np.concatenate([top, top, top + 1, top + 1])
    x = np.concatenate([left, left + 1, left, left + 1])
    weight = np.concatenate([(1 - down) * (1 - right), (1 - down) * right, down * (1 - right), down * right])
    inside = (y >= 0) & (y < shape[0]) & (x >= 0) & (x < shape[1])
    place = y[inside] * shape[1] + x[inside]
    total = np.bincount(place, weights=(weight * np.tile(amount, 4))[inside], minlength=shape[0] * shape[1])
    return total.reshape(shape).astype(np.float32)
