"""A frame around an image whose parts have fixed places: titles above, a colour bar on the right, notes below.

It is drawn with Pillow. Explaining frames hundreds of pictures, and a figure of matplotlib with the same parts takes
ten times as long.
"""

from __future__ import annotations

import os
import textwrap
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Literal

import matplotlib
import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import distance_transform_edt

from shared.data.files import atomic_path
from shared.saliency.boxes import Box

__all__ = ["FOOTER", "HEADER", "IMAGE_SIDE", "MARGIN", "OUTLINE", "PictureFrame"]

OUTLINE = "#f0e442"  # yellow of the colour-blind-safe palette of Okabe and Ito
DPI = 100
# the frame, in pixels
IMAGE_SIDE, MARGIN, HEADER, FOOTER, BAR_GAP, BAR_WIDTH, BAR_TEXT = 350, 14, 66, 28, 16, 16, 104
TITLE_CHARACTERS, NOTE_CHARACTERS = 58, 62
# half the widths of an outline and of the black around it, and the dashes and gaps of a box, in pixels
OUTLINE_REACH, BLACK_REACH, DASH, GAP = 0.85, 1.8, 8, 4
# what cannot be told from the ends of a colour bar lies in its points, each this share of it
POINT = 0.045
GREY = "#4d4d4d"
# run lengths are as small as zlib's search for the noise of such pictures, in a third of the time
RUN_LENGTHS = 3


class PictureFrame:
    """An image with its titles; further parts are drawn when they are asked for.

    Args:
        colours: of the image's pixels, red, green and blue in [0, 1], ``(H, W, 3)``.
        title: up to two lines; what is longer is cut off.
        subtitle: one line.
    """

    def __init__(self, colours: ArrayLike, title: str, subtitle: str) -> None:
        pixels = Image.fromarray(np.rint(255 * np.asarray(colours, dtype=np.float64)).astype(np.uint8))
        self._scale = IMAGE_SIDE / max(pixels.size)
        self.width, self.height = (max(1, round(self._scale * size)) for size in pixels.size)
        width = MARGIN + max(self.width, IMAGE_SIDE // 2) + BAR_GAP + BAR_WIDTH + BAR_TEXT
        self.picture = Image.new("RGB", (width, HEADER + self.height + FOOTER), "white")
        # pixels that are seen one by one keep their edges
        crisp = self._scale >= 3 or self._scale == round(self._scale)
        resampling = Image.Resampling.NEAREST if crisp else Image.Resampling.HAMMING
        self.picture.paste(pixels.resize((self.width, self.height), resampling), (MARGIN, HEADER))
        self._draw = ImageDraw.Draw(self.picture)
        lines = textwrap.wrap(title, TITLE_CHARACTERS, max_lines=2, placeholder=" …")
        self._draw.text((MARGIN, HEADER - 22), "\n".join(lines), "black", _font(10), anchor="ld")
        self._draw.text((MARGIN, HEADER - 5), _shortened(subtitle), GREY, _font(8.5), anchor="ld")

    def colour_bar(self, colours: ArrayLike, label: str, ticks: Sequence[float], *, clipped: bool) -> None:
        """Draw a colour bar beside the image.

        Args:
            colours: from the lower to the upper end, ``(N, 3)`` in [0, 1].
            label: of the bar.
            ticks: values at equal distances from the lower to the upper end.
            clipped: whether values of the image lie beyond the ends; the bar then has points.
        """
        scale = np.rint(255 * np.asarray(colours, dtype=np.float64)).astype(np.uint8)[::-1]
        left, right = MARGIN + self.width + BAR_GAP, MARGIN + self.width + BAR_GAP + BAR_WIDTH
        point = round(POINT * self.height) if clipped else 0
        top, bottom = HEADER + point, HEADER + self.height - point
        bar = Image.fromarray(scale[:, None]).resize((BAR_WIDTH, max(1, bottom - top)), Image.Resampling.BILINEAR)
        self.picture.paste(bar, (left, top))
        self._draw.rectangle((left, top, right - 1, bottom - 1), outline="black")
        for base, tip, end in ((top, HEADER, 0), (bottom - 1, HEADER + self.height - 1, -1)) if clipped else ():
            corners = [(left, base), ((left + right - 1) / 2, tip), (right - 1, base)]
            self._draw.polygon(corners, fill=tuple(scale[end].tolist()))
            self._draw.line(corners, fill="black")
        signed = min(ticks) == -max(ticks)
        names = [f"{tick:+.3g}" if signed and tick else f"{tick:.3g}" for tick in ticks]
        for y, name in zip(np.linspace(bottom - 1, top, len(names)).tolist(), names, strict=True):
            self._draw.line((right, round(y), right + 4, round(y)), fill="black")
            self._draw.text((right + 9, y), name, "black", _font(8), anchor="lm")
        beside = right + 9 + max(_font(8).getlength(name) for name in names) + 6
        self._upright(round(beside), HEADER + self.height / 2, _shortened(label))

    def outline(self, mask: NDArray[np.bool_]) -> None:
        """Draw the border of a mask ``(H, W)``: a yellow line with a black one around it."""
        shown = Image.fromarray(mask).resize((self.width, self.height), Image.Resampling.NEAREST)
        left, top, right, bottom = shown.getbbox() or (0, 0, 0, 0)
        # a border of background closes outlines that reach the edge of the image
        padding = int(np.ceil(BLACK_REACH)) + 1
        inside = np.pad(np.asarray(shown)[top:bottom, left:right], padding)
        # from a pixel's middle to the border between pixels
        distance = np.where(inside, distance_transform_edt(inside), distance_transform_edt(~inside)) - 0.5
        for reach, colour in ((BLACK_REACH, "black"), (OUTLINE_REACH, OUTLINE)):
            opacity = np.rint(255 * np.clip(reach + 0.5 - distance, 0, 1)).astype(np.uint8)
            place = MARGIN + left - padding, HEADER + top - padding
            self.picture.paste(colour, place, Image.fromarray(opacity))

    def boxes(self, boxes: Sequence[Box]) -> None:
        """Draw boxes, in pixels of the image from the outer edge of its first one, dashed on a black line."""
        for box in boxes:
            left, right = (round(MARGIN + self._scale * x) for x in (box.left, box.left + box.width))
            top, bottom = (round(HEADER + self._scale * y) for y in (box.top, box.top + box.height))
            self._draw.rectangle((left - 2, top - 2, right + 1, bottom + 1), outline="black", width=4)
            for x in range(left, right, DASH + GAP):
                for y in (top, bottom):
                    self._draw.rectangle((x, y - 1, min(x + DASH, right) - 1, y), fill=OUTLINE)
            for y in range(top, bottom, DASH + GAP):
                for x in (left, right):
                    self._draw.rectangle((x - 1, y, x, min(y + DASH, bottom) - 1), fill=OUTLINE)

    def scale_bar(self, length: float, name: str) -> None:
        """Draw a scale bar into the lower left corner.

        Args:
            length: in pixels of the image.
            name: its length in words.
        """
        left, middle = MARGIN + round(0.04 * IMAGE_SIDE), HEADER + self.height - round(0.05 * IMAGE_SIDE)
        right = left + round(self._scale * length) - 1
        self._draw.rectangle((left, middle - 3, right, middle + 4), fill="black")
        self._draw.rectangle((left, middle - 1, right, middle + 2), fill="white")
        self._draw.text((left, middle - 6), name, "white", _font(9), anchor="ld", stroke_width=1, stroke_fill="black")

    def note(self, text: str, side: Literal["left", "right"]) -> None:
        """Write a small note below the image."""
        x, anchor = (MARGIN, "la") if side == "left" else (MARGIN + self.width, "ra")
        self._draw.text((x, HEADER + self.height + 6), _shortened(text), GREY, _font(8), anchor=anchor)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the picture as PNG, atomically."""
        with atomic_path(path) as temporary:
            self.picture.save(temporary, format="PNG", dpi=(DPI, DPI), compress_type=RUN_LENGTHS)

    def _upright(self, left: int, middle: float, text: str) -> None:
        """Write text from below upwards."""
        font = _font(8.5)
        above, under = font.getmetrics()
        tile = Image.new("L", (max(1, round(font.getlength(text))), above + under))
        ImageDraw.Draw(tile).text((0, 0), text, 255, font)
        tile = tile.transpose(Image.Transpose.ROTATE_90)
        self.picture.paste("black", (left, round(middle - tile.height / 2)), tile)


def _shortened(text: str) -> str:
    return textwrap.shorten(text, NOTE_CHARACTERS, placeholder=" …")


@lru_cache
def _font(points: float) -> ImageFont.FreeTypeFont:
    """Return the font that matplotlib brings along, for pictures look alike on every machine."""
    return ImageFont.truetype(Path(matplotlib.get_data_path(), "fonts/ttf/DejaVuSans.ttf"), points * DPI / 72)
