"""Attribution maps drawn over their images, as pictures that explain themselves."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shared.saliency.boxes import Box
from shared.saliency.colours import blend, colour_limit, grey_levels, robust_window, transparent_colours
from shared.saliency.picture_frame import OUTLINE, PictureFrame

__all__ = ["OUTLINE", "overlay_title", "scale_bar_length", "write_image", "write_overlay"]

#: colours of a bar
STEPS = 257


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
    frame = PictureFrame(blend(picture, values, percentile, window), title, subtitle)
    scale = transparent_colours()(np.linspace(0, 1, STEPS))  # (N, 4)
    # transparent colours are seen on mid-grey, as they are on the image
    on_grey = 0.5 + scale[:, 3:] * (scale[:, :3] - 0.5)
    frame.colour_bar(on_grey, bar_label, (-limit, 0.0, limit), clipped=bool(np.abs(values).max() > limit))
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
    frame = PictureFrame(_grey(grey_levels(picture, (low, high))), title, subtitle)
    clipped = bool(picture.min() < low or picture.max() > high)
    frame.colour_bar(_grey(np.linspace(0, 1, STEPS)), bar_label, (low, high), clipped=clipped)
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


def _annotate(
    frame: PictureFrame,
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
        frame.boxes(boxes)
        notes.append("dashed: a person's box")
    if notes:
        frame.note("; ".join(notes), "right")
    if pixel_size_um is not None:
        length = scale_bar_length(picture.shape[1] * pixel_size_um)
        frame.scale_bar(length / pixel_size_um, f"{length:g} µm" if length < 1000 else f"{length / 1000:g} mm")


def _grey(levels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return grey levels as red, green and blue."""
    return np.repeat(levels[..., None], 3, axis=-1)


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
