"""Attribution maps drawn over their images, as pictures that explain themselves."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from shared.data.files import atomic_path
from shared.saliency.boxes import Box, draw_boxes
from shared.saliency.colours import blend, colour_limit, robust_window, transparent_colours

__all__ = ["overlay_title", "scale_bar_length", "write_image", "write_overlay"]

OUTLINE = "#f0e442"  # yellow of the colour-blind-safe palette of Okabe and Ito
DPI = 100
# the frame, in pixels
IMAGE_SIDE, MARGIN, HEADER, FOOTER, BAR_GAP, BAR_WIDTH, BAR_TEXT = 350, 14, 66, 28, 16, 16, 104
TITLE_CHARACTERS, NOTE_CHARACTERS = 58, 62


def write_overlay(
    path: str | os.PathLike[str],
    image: ArrayLike,
    attribution: ArrayLike,
    *,
    title: str,
    subtitle: str = "",
    bar_label: str = "attribution",
    mask: ArrayLike | None = None,
    mask_label: str = "known cause",
    boxes: Sequence[Box] = (),
    pixel_size_um: float | None = None,
    percentile: float = 99.0,
    window: tuple[float, float] | None = None,
) -> None:
    """Write a PNG: the image in grey, the map over it, a colour bar and a scale bar.

    Colours diverge from 0 with limits symmetric about it, and a pixel is the more opaque the larger its magnitude.

    Args:
        path: the file, its name ending in ``.png``.
        image: ``(H, W)``.
        attribution: signed map ``(H, W)``.
        title: says what was predicted, see :func:`overlay_title`.
        subtitle: a second line: the method.
        bar_label: label of the colour bar.
        mask: where the cause is known to be, ``(H, W)``; drawn as an outline.
        mask_label: what the outline means.
        boxes: drawn around the cause by a person, in pixels from the outer edge of the first one; dashed.
        pixel_size_um: size of a pixel in µm, for the scale bar; without it there is none.
        percentile: percentile of the magnitude at which the colours saturate.
        window: image values shown as black and white; by default robust extremes of the image.

    Raises:
        ValueError: if the shapes differ or a value is not finite.
    """
    picture, values = _checked(path, image=image, attribution=attribution)
    limit = colour_limit(values, percentile)
    frame = _Frame(picture.shape, title, subtitle)
    frame.axes.imshow(blend(picture, values, percentile, window))
    scale = ScalarMappable(Normalize(-limit, limit), transparent_colours())
    frame.colour_bar(scale, bar_label, (-limit, 0.0, limit), clipped=bool(np.abs(values).max() > limit))
    if not values.any():
        frame.note("the map is 0 everywhere", "left")
    _annotate(frame, path, picture, mask, mask_label, boxes, pixel_size_um)
    frame.save(path)


def write_image(
    path: str | os.PathLike[str],
    image: ArrayLike,
    *,
    title: str,
    subtitle: str = "",
    bar_label: str = "grey value",
    mask: ArrayLike | None = None,
    mask_label: str = "known cause",
    boxes: Sequence[Box] = (),
    pixel_size_um: float | None = None,
    window: tuple[float, float] | None = None,
) -> None:
    """Write the image alone as a PNG, in the same frame as its overlays.

    Args:
        path: see :func:`write_overlay`, as all others.
        image: ``(H, W)``.
        title: see :func:`write_overlay`.
        subtitle: see :func:`write_overlay`.
        bar_label: what a grey value is, with its unit.
        mask: see :func:`write_overlay`.
        mask_label: see :func:`write_overlay`.
        boxes: see :func:`write_overlay`.
        pixel_size_um: see :func:`write_overlay`.
        window: see :func:`write_overlay`.

    Raises:
        ValueError: if the shapes differ or a value is not finite.
    """
    (picture,) = _checked(path, image=image)
    low, high = window or robust_window(picture)
    frame = _Frame(picture.shape, title, subtitle)
    shown = frame.axes.imshow(picture, cmap="gray", vmin=low, vmax=high)
    frame.colour_bar(shown, bar_label, (low, high), clipped=bool(picture.min() < low or picture.max() > high))
    _annotate(frame, path, picture, mask, mask_label, boxes, pixel_size_um)
    frame.save(path)


def overlay_title(
    prediction: str,
    confidence: float,
    *,
    label: str | None = None,
    decision: str | None = None,
    target: str | None = None,
) -> str:
    """Return the title of an overlay.

    Args:
        prediction: predicted class.
        confidence: in [0, 1].
        label: true class, if known.
        decision: ``accept``, ``defer`` or ``reject``.
        target: the class that is explained, if it is not the predicted one.

    Example:
        >>> overlay_title("monocyte", 0.873, label="lymphocyte", decision="defer")
        'monocyte, confidence 0.87, defer (truth: lymphocyte)'
    """
    parts = [prediction, f"confidence {confidence:.2f}", *([decision] if decision else [])]
    truth = f" (truth: {label})" if label else ""
    return ", ".join(parts) + truth + (f", explained: {target}" if target and target != prediction else "")


def scale_bar_length(extent_um: float) -> float:
    """Return the length of a scale bar in µm: the longest 1, 2 or 5 × 10ⁿ that is at most a quarter of the extent.

    Raises:
        ValueError: if the extent is not positive.

    Example:
        >>> scale_bar_length(12.5), scale_bar_length(400.0), scale_bar_length(0.9)
        (2.0, 100.0, 0.2)
    """
    if not 0 < extent_um < np.inf:
        raise ValueError(f"a scale bar needs a positive size of the pixels, found an image {extent_um} µm wide")
    power = 10.0 ** np.floor(np.log10(extent_um / 4))
    # 1 + 1e-9: a quarter that is a round number must not be lost to rounding
    mantissa = max(step for step in (1, 2, 5) if step * power <= extent_um / 4 * (1 + 1e-9))
    return float(f"{mantissa * power:.3g}")


class _Frame:
    """A figure whose parts have fixed places: titles above the image, colour bar on its right, notes below it."""

    def __init__(self, shape: tuple[int, ...], title: str, subtitle: str) -> None:
        self.shape = shape
        height, width = (IMAGE_SIDE * size / max(shape) for size in shape)
        self.width = MARGIN + max(width, IMAGE_SIDE / 2) + BAR_GAP + BAR_WIDTH + BAR_TEXT
        self.height = HEADER + height + FOOTER
        self.figure = Figure(figsize=(self.width / DPI, self.height / DPI), dpi=DPI, facecolor="white")
        self.canvas = FigureCanvasAgg(self.figure)
        self.axes = self._add_axes(MARGIN, width, height)
        self.axes.set_axis_off()
        self.bar_box = MARGIN + width + BAR_GAP, BAR_WIDTH, height
        # a class may be called "$x$": names are text, not formulas
        lines = textwrap.wrap(title, TITLE_CHARACTERS, max_lines=2, placeholder=" …")
        self._text(HEADER - 24, "\n".join(lines), fontsize=10)
        self._text(HEADER - 6, _shortened(subtitle), fontsize=8.5, color="0.3")

    def colour_bar(self, scale: ScalarMappable, label: str, ticks: tuple[float, ...], *, clipped: bool) -> None:
        """Draw a colour bar beside the image."""
        # transparent colours are seen on mid-grey, as they are on the image
        axes = self._add_axes(*self.bar_box, facecolor="0.5")
        bar = self.figure.colorbar(scale, cax=axes, extend="both" if clipped else "neither", ticks=ticks)
        signed = min(ticks) == -max(ticks)
        names = [f"{tick:+.3g}" if signed and tick else f"{tick:.3g}" for tick in ticks]
        bar.ax.set_yticklabels(names, fontsize=8)
        bar.set_label(_shortened(label), fontsize=8.5, parse_math=False)

    def outline(self, mask: NDArray[np.bool_]) -> None:
        """Draw the border of a mask ``(H, W)``."""
        # a border of background closes outlines that reach the edge of the image
        rows, columns = (np.arange(-1, size + 1) for size in self.shape)
        padded = np.pad(mask, 1).astype(np.float64)
        lines = self.axes.contour(columns, rows, padded, levels=[0.5], colors=[OUTLINE], linewidths=1.2)
        lines.set(path_effects=[withStroke(linewidth=2.6, foreground="black")], clip_on=False)
        self.axes.set(xlim=(-0.5, self.shape[1] - 0.5), ylim=(self.shape[0] - 0.5, -0.5))

    def scale_bar(self, pixel_size_um: float) -> None:
        """Draw a scale bar into the lower left corner."""
        height, width = self.shape
        length = scale_bar_length(width * pixel_size_um)
        left, bottom = 0.04 * max(self.shape) - 0.5, height - 0.05 * max(self.shape) - 0.5
        x = [left, left + length / pixel_size_um]
        stroke = [withStroke(linewidth=5, foreground="black")]
        self.axes.plot(x, [bottom, bottom], "w-", linewidth=3, solid_capstyle="butt", path_effects=stroke)
        name = f"{length:g} µm" if length < 1000 else f"{length / 1000:g} mm"
        stroke = [withStroke(linewidth=2, foreground="black")]
        above = bottom - 0.02 * max(self.shape)
        self.axes.text(left, above, name, color="white", fontsize=9, va="bottom", path_effects=stroke)

    def note(self, text: str, side: Literal["left", "right"]) -> None:
        """Write a small note below the image."""
        self.axes.text(
            0.0 if side == "left" else 1.0,
            -0.02,
            _shortened(text),
            transform=self.axes.transAxes,
            ha=side,
            va="top",
            fontsize=8,
            color="0.3",
            parse_math=False,
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the figure as PNG, atomically."""
        self.canvas.draw()
        picture = Image.fromarray(np.asarray(self.canvas.buffer_rgba())[..., :3])
        with atomic_path(path) as temporary:
            picture.save(temporary, format="PNG", dpi=(DPI, DPI))

    def _add_axes(self, left: float, width: float, height: float, **options: Any) -> Axes:
        box = left / self.width, FOOTER / self.height, width / self.width, height / self.height
        return self.figure.add_axes(box, **options)

    def _text(self, below_top: float, text: str, **options: Any) -> None:
        x, y = MARGIN / self.width, 1 - below_top / self.height
        self.figure.text(x, y, text, va="bottom", parse_math=False, **options)


def _annotate(
    frame: _Frame,
    path: str | os.PathLike[str],
    picture: NDArray[np.float64],
    mask: ArrayLike | None,
    mask_label: str,
    boxes: Sequence[Box],
    pixel_size_um: float | None,
) -> None:
    notes = []
    if mask is not None:
        truth = _checked(path, image=picture, mask=mask)[1] > 0
        if truth.any():
            frame.outline(truth)
        notes.append(f"outline: {mask_label}" if truth.any() else f"{mask_label}: none in this image")
    if boxes:
        draw_boxes(frame.axes, boxes, OUTLINE)
        notes.append("dashed: a person's box")
    if notes:
        frame.note("; ".join(notes), "right")
    if pixel_size_um is not None:
        frame.scale_bar(pixel_size_um)


def _shortened(text: str) -> str:
    return textwrap.shorten(text, NOTE_CHARACTERS, placeholder=" …")


def _checked(path: str | os.PathLike[str], **arrays: ArrayLike) -> list[NDArray[np.float64]]:
    """Return 2-D arrays of one shape, as float64."""
    checked: list[NDArray[np.float64]] = []
    for name, given in arrays.items():
        values = np.asarray(given, dtype=np.float64)
        expected = checked[0].shape if checked else values.shape
        if values.ndim != 2 or values.size == 0 or values.shape != expected:
            raise ValueError(f"{path}: {name} must be (H, W) as the image, found shape {values.shape}")
        if not np.isfinite(values).all():
            raise ValueError(f"{path}: {name} holds NaN or infinity")
        checked.append(values)
    return checked
