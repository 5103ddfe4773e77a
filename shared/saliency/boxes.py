"""Boxes that people drew around a cause: where they lie on an image."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Box"]


class Box(NamedTuple):
    """A rectangle along the axes of an image.

    Attributes:
        left: of its left edge, from the left edge of the image.
        top: of its top edge, from the top edge of the image.
        width: of the rectangle.
        height: of the rectangle.
    """

    left: float
    top: float
    width: float
    height: float

    def scaled(self, width: float, height: float) -> Box:
        """Return the box with its horizontal lengths times ``width`` and its vertical ones times ``height``.

        Example:
            >>> Box(0.25, 0.5, 0.5, 0.125).scaled(320, 240)
            Box(left=80.0, top=120.0, width=160.0, height=30.0)
        """
        return Box(self.left * width, self.top * height, self.width * width, self.height * height)
