"""A heat-map as a picture that explains itself: over the slide's thumbnail, with legend and scale bar."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FixedLocator
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from shapely.geometry.base import BaseGeometry

from scripts.heat_map import HeatMap
from scripts.heat_map_colours import ColourScale
from shared.data.files import atomic_path
from shared.saliency.overlay import OUTLINE, scale_bar_length

__all__ = ["Mark", "SlideView", "write_heat_map", "write_thumbnail"]

DPI = 100
# the frame, in pixels; letters are read at half the size, as a page shows the picture
LEAST_WIDTH, MARGIN, HEADER, LEGEND, NOTE = 620, 16, 78, 96, 34
LARGE, SMALL = 18.0, 14.5  # points
NOTE_CHARACTERS, TITLE_CHARACTERS = 62, 46
#: of a ring's name from its middle, in the order in which places are tried, and the distance at which nothing overlaps
LABEL_OFFSETS = np.array(
    [(24, -12), (24, 12), (-24, -12), (-24, 12), (0, -24), (0, 24), (30, 0), (-30, 0)], dtype=float
)
LABEL_ROOM = 32.0


@dataclass(frozen=True)
class Mark:
    """A numbered ring.

    Args:
        x: of its middle, pixels of level 0.
        y: see above.
        name: written beside it.
    """

    x: float
    y: float
    name: str


@dataclass(frozen=True)
class SlideView:
    """A slide as it is shown.

    Args:
        picture: RGB, ``(H, W, 3)``.
        downsample: pixels of level 0 that one of the picture's spans along each axis.
        mpp: µm per pixel of level 0, for the scale bar; None if not known.
        truth: area of the annotated tumour, pixels of level 0, to be outlined; None if there is none.
        missing: why the picture is a blank canvas; empty if it is the slide.
    """

    picture: NDArray[np.uint8]
    downsample: float
    mpp: float | None = None
    truth: BaseGeometry | None = None
    missing: str = ""

    def truth_mask(self) -> NDArray[np.bool_]:
        """Return where the annotated tumour is, ``(H, W)``; nowhere if there is none."""
        height, width = self.picture.shape[:2]
        mask = Image.new("1", (width, height))
        draw = ImageDraw.Draw(mask)
        parts = [] if self.truth is None else shapely.get_parts(self.truth).tolist()
        # the largest first, so that what lies in a hole of another is not lost with the hole
        for part in sorted(parts, key=lambda part: -part.area):
            for place, ring in enumerate(shapely.get_rings(part)):
                corners = shapely.get_coordinates(ring) / self.downsample - 0.5
                # the first ring is the outer one, the others are holes
                draw.polygon([tuple(corner) for corner in corners.tolist()], fill=place == 0)
        return np.array(mask)


def write_thumbnail(
    path: str | os.PathLike[str], view: SlideView, *, title: str, subtitle: str = "", marks: Sequence[Mark] = ()
) -> None:
    """Write the slide itself as PNG, with scale bar, outlines of the annotated tumour and rings around chosen tiles."""
    frame = _Frame(view, title, subtitle, legend=False)
    frame.axes.imshow(view.picture, interpolation="none")
    frame.rings(marks)
    frame.finish(path, ["rings: tiles of the gallery"] if marks else [])


def write_heat_map(
    path: str | os.PathLike[str],
    view: SlideView,
    heat_map: HeatMap,
    scale: ColourScale,
    *,
    title: str,
    subtitle: str = "",
    unit: str = "value",
    reference: tuple[float, str] | None = None,
) -> None:
    """Write a heat-map as PNG: over the grey thumbnail, with its colours in numbers and a scale bar in mm.

    Args:
        path: the file.
        view: the slide.
        heat_map: of the same slide.
        scale: its colours.
        title: what is shown: the method.
        subtitle: which slide, and what was predicted.
        unit: what a value is.
        reference: a further value that the legend marks, and its name.
    """
    frame = _Frame(view, title, subtitle, legend=True)
    values = heat_map.raster(view.downsample, view.picture.shape[:2])
    frame.axes.imshow(scale.over(view.picture, values), interpolation="none")
    frame.colour_bar(scale, unit, reference)
    frame.finish(path, [])


class _Frame:
    """A figure whose parts have fixed places: titles above the slide; legend, scale bar and notes below it."""

    def __init__(self, view: SlideView, title: str, subtitle: str, legend: bool) -> None:
        self.view = view
        height, width = view.picture.shape[:2]
        self.inner = max(width, LEAST_WIDTH)
        self.below = (LEGEND if legend else LEGEND * 0.62) + NOTE
        self.width, self.height = self.inner + 2 * MARGIN, HEADER + height + self.below
        self.figure = Figure(figsize=(self.width / DPI, self.height / DPI), dpi=DPI, facecolor="white")
        self.canvas = FigureCanvasAgg(self.figure)
        self.axes = self._add_axes((self.width - width) / 2, HEADER, width, height)
        self.axes.set_axis_off()
        self._text(MARGIN, 40, _shortened(title, TITLE_CHARACTERS), fontsize=LARGE)
        self._text(MARGIN, 68, _shortened(subtitle, NOTE_CHARACTERS), fontsize=SMALL, color="0.3")

    def colour_bar(self, scale: ColourScale, unit: str, reference: tuple[float, str] | None) -> None:
        """Draw the legend below the slide, on the left."""
        # transparent colours are seen on light grey, as they are on tissue
        axes = self._add_axes(MARGIN + 24, self.height - self.below + 14, 0.55 * self.inner, 20, facecolor="0.75")
        extend = "neither" if not scale.clipped else "both" if scale.signed else "max"
        bar = self.figure.colorbar(
            ScalarMappable(scale.norm, scale.overlay_map),
            cax=axes,
            orientation="horizontal",
            extend=extend,
            extendfrac=0.03,
            ticks=FixedLocator(scale.ticks),
        )
        bar.ax.set_xticklabels([_number(tick, scale.signed) for tick in scale.ticks], fontsize=SMALL)
        if reference is not None and scale.low < reference[0] < scale.high:
            bar.ax.axvline(reference[0], color="black", linewidth=2)
            unit = f"{unit}; line: {reference[1]} ({reference[0]:.2g})"
        bar.set_label(_shortened(unit, 46), fontsize=SMALL, parse_math=False, labelpad=1, loc="left")

    def rings(self, marks: Sequence[Mark]) -> None:
        """Draw numbered rings."""
        if not marks:
            return
        height, width = self.view.picture.shape[:2]
        points = np.array([(mark.x, mark.y) for mark in marks]) / self.view.downsample - 0.5
        strokes = [withStroke(linewidth=3.2, foreground="white")]
        self.axes.plot(*points.T, "o", fillstyle="none", color="black", markersize=11, path_effects=strokes)
        for mark, (x, y) in zip(marks, _label_places(points, (width, height)), strict=True):
            place: dict[str, Any] = {"ha": "center", "va": "center", "clip_on": False}
            self.axes.text(x, y, mark.name, fontsize=SMALL - 2, path_effects=strokes, **place)
        self.axes.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))

    def finish(self, path: str | os.PathLike[str], notes: list[str]) -> None:
        """Draw outlines, scale bar and notes, and write the figure as PNG, atomically."""
        if self.view.truth is not None and not self.view.truth.is_empty:
            self._outline(self.view.truth)
            notes = ["outline: annotated tumour", *notes]
        if self.view.missing:
            notes = ["blank canvas: the slide could not be read", *notes]
        if self.view.mpp is None:
            notes = [*notes, "scale unknown"]
        else:
            self._scale_bar(self.view.downsample * self.view.mpp)
        self._text(MARGIN, self.height - 12, _shortened("; ".join(notes), 90), fontsize=SMALL - 1.5, color="0.3")
        self.canvas.draw()
        picture = Image.fromarray(np.asarray(self.canvas.buffer_rgba())[..., :3])
        with atomic_path(path) as temporary:
            picture.save(temporary, format="PNG", dpi=(DPI, DPI), compress_level=3)

    def _outline(self, area: BaseGeometry) -> None:
        height, width = self.view.picture.shape[:2]
        strokes = [withStroke(linewidth=3.4, foreground="black")]
        for ring in shapely.get_rings(shapely.get_parts(area)):
            corners = shapely.get_coordinates(ring) / self.view.downsample - 0.5
            self.axes.plot(*corners.T, color=OUTLINE, linewidth=1.6, path_effects=strokes)
        self.axes.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))

    def _scale_bar(self, pixel_um: float) -> None:
        """Draw a scale bar below the slide, on the right, where it hides nothing."""
        length = scale_bar_length(self.view.picture.shape[1] * pixel_um)
        right, top = (self.width - MARGIN) / self.width, 1 - (self.height - self.below + 24) / self.height
        left = right - length / pixel_um / self.width
        self.figure.add_artist(Line2D([left, right], [top, top], color="black", linewidth=4, solid_capstyle="butt"))
        name = f"{length / 1000:g} mm"
        self.figure.text(right, top - 9 / self.height, name, ha="right", va="top", fontsize=SMALL)

    def _add_axes(self, left: float, top: float, width: float, height: float, **options: Any) -> Axes:
        bottom = self.height - top - height
        box = left / self.width, bottom / self.height, width / self.width, height / self.height
        return self.figure.add_axes(box, **options)

    def _text(self, left: float, baseline: float, text: str, **options: Any) -> None:
        place = left / self.width, 1 - baseline / self.height
        self.figure.text(*place, text, va="bottom", parse_math=False, **options)


def _label_places(points: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.float64]:
    """Return where the names of rings stand, ``(M, 2)``: beside them, as far from other rings and names as can be.

    Args:
        points: middles of the rings, pixels of the picture, ``(M, 2)``.
        size: width and height of the picture.
    """
    places = np.empty_like(points)
    for index, point in enumerate(points):
        candidates = point + LABEL_OFFSETS
        taken = np.concatenate([np.delete(points, index, axis=0), places[:index], [[np.inf, np.inf]]])
        room = np.linalg.norm(candidates[:, None] - taken[None], axis=2).min(axis=1)
        inside = ((candidates > 0) & (candidates < np.array(size))).all(axis=1)
        # of places with room enough the first one
        places[index] = candidates[np.argmax(np.where(inside, np.minimum(room, LABEL_ROOM), -1.0))]
    return places


def _number(value: float, signed: bool) -> str:
    return f"{value:+.2g}".replace("-", "\N{MINUS SIGN}") if signed and value else f"{value:.2g}"


def _shortened(text: str, characters: int) -> str:
    return textwrap.shorten(text, characters, placeholder=" …")
