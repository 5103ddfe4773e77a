"""The film's pixels in the body's own coordinates, and soft shapes on them.

Lengths in cm. The origin is the midline at the level of the lungs' apices; x runs to the patient's left, which is the
film's right, and y towards the feet. Images are ``(H, W)`` and ``float32``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shared.phantoms.shapes import pixel_grid
from shared.phantoms.strokes import Strokes, draw_strokes

__all__ = ["FilmGrid", "body", "edge"]

Image = NDArray[np.floating]

# tanh(1.7 z / 2) lies within 0.01 of the error function's edge at standard deviation 1, in a twentieth of the time
_SLOPE = 0.85


@dataclass(frozen=True)
class FilmGrid:
    """Where each pixel of a film lies in the body.

    Args:
        shape: ``(H, W)``.
        pixel_size: cm.
        centre: body coordinates (x, y) of the film's middle.
        turn: angle by which the body is turned in the film, radians, from x towards y.
    """

    shape: tuple[int, int]
    pixel_size: float
    centre: tuple[float, float] = (0.0, 0.0)
    turn: float = 0.0

    def coordinates(self) -> tuple[Image, Image]:
        """Return x and y of every pixel, each ``(H, W)``."""
        v, u = pixel_grid(self.shape, self.pixel_size)
        cosine, sine = np.cos(self.turn), np.sin(self.turn)
        x = self.centre[0] + u * cosine + v * sine
        y = self.centre[1] - u * sine + v * cosine
        return x.astype(np.float32), y.astype(np.float32)

    def to_film(self, x: ArrayLike, y: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return where points of the body lie in the film: cm along its columns and rows from the first pixel's middle.

        The inverse of :meth:`coordinates`, times the pixel size.
        """
        dx, dy = np.asarray(x, float) - self.centre[0], np.asarray(y, float) - self.centre[1]
        cosine, sine = np.cos(self.turn), np.sin(self.turn)
        height, width = self.shape
        u = dx * cosine - dy * sine + (width - 1) / 2 * self.pixel_size
        v = dx * sine + dy * cosine + (height - 1) / 2 * self.pixel_size
        return u, v

    def draw(self, strokes: Strokes) -> Image:
        """Draw lines that are given in the body's coordinates."""
        u, v = self.to_film(strokes.x, strokes.y)
        moved = Strokes(u, v, strokes.std, strokes.peak, strokes.step)
        return draw_strokes(moved, self.shape, self.pixel_size)


def edge(distance: Image, width: float) -> Image:
    """Return 1 where the distance is well below 0, 0 where it is well above, and a soft edge between.

    Args:
        distance: from an outline, negative inside, cm.
        width: standard deviation of the edge, cm.
    """
    return 0.5 - 0.5 * np.tanh(distance * np.float32(_SLOPE / width))


def body(x: Image, y: Image, centre: tuple[float, float], axes: tuple[float, float], tilt: float = 0.0) -> Image:
    """Return ``1 − ρ²`` of an ellipse: above 0 inside, 1 in the middle, with ρ the radius relative to the outline.

    The root of it is the thickness of an ellipsoid relative to its middle.

    Args:
        x: coordinates of the pixels.
        y: the same.
        centre: of the ellipse.
        axes: its half lengths.
        tilt: direction of the first axis, from x towards y, radians.
    """
    cosine, sine = np.float32(np.cos(tilt)), np.float32(np.sin(tilt))
    dx, dy = x - np.float32(centre[0]), y - np.float32(centre[1])
    along, across = dx * cosine + dy * sine, dy * cosine - dx * sine
    return 1 - (along / np.float32(axes[0])) ** 2 - (across / np.float32(axes[1])) ** 2
