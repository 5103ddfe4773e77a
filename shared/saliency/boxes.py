"""Boxes that people drew around a cause: where they lie on an image, and how they look in a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke

__all__ = ["Box", "draw_boxes"]


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


def draw_boxes(axes: Axes, boxes: Sequence[Box], colour: str) -> None:
    """Draw boxes as dashed rectangles, seen on bright and on dark ground.

    Args:
        axes: show an image, so that the middle of its first pixel is 0 on both axes.
        boxes: in pixels of that image, from the outer edge of its first pixel.
        colour: of the dashes.
    """
    for box in boxes:
        rectangle = Rectangle(
            (box.left - 0.5, box.top - 0.5), box.width, box.height, fill=False, edgecolor=colour, linewidth=1.4
        )
        rectangle.set(linestyle=(0, (4, 2)), path_effects=[withStroke(linewidth=2.8, foreground="black")])
        axes.add_patch(rectangle)
