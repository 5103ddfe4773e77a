"""Layers with a palette as data URIs of bounded size: made smaller and coarser in their values, not their colours."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from shared.data.errors import DataError
from shared.report.images import EmbeddedImage, data_uri, opened_image

__all__ = ["embed_layers"]

#: longer sides that are tried, pixels, each with steps of the colour scale: the largest that fits is taken
SIZES = ((420, 255), (320, 63), (240, 31), (180, 31), (132, 31), (100, 31))
#: fewer colours are names and not a scale: an outline's
SCALE_COLOURS = 8


def embed_layers(paths: Sequence[Path], budget: int) -> dict[Path, EmbeddedImage]:
    """Embed layers, together in about ``budget`` bytes.

    The indices of a layer's palette are steps of a colour scale. A layer beyond its share of the budget gets fewer of
    them, then fewer pixels. One of few colours (an outline) keeps them.

    Args:
        paths: PNG files with a palette, as ``shared.saliency.layers`` writes them; repeated ones are embedded once.
        budget: bytes for all of them, before the third that base64 adds.

    Raises:
        DataError: if a file is missing, is no image or has no palette.
    """
    distinct = list(dict.fromkeys(paths))
    share = budget // max(len(distinct), 1)
    return {path: _embed(path, share) for path in distinct}


def _embed(path: Path, share: int) -> EmbeddedImage:
    content, image = opened_image(path)
    if image.mode != "P" or "transparency" not in image.info:
        raise DataError(f"{path}: expected a PNG with a palette and opacities, found mode {image.mode}; explain again")
    if len(content) <= share and max(image.size) <= SIZES[0][0]:
        return EmbeddedImage(data_uri(content, "png"), *image.size)
    palette = _palette(image)
    scale = len(palette) > SCALE_COLOURS
    encoded, size, tried = b"", image.size, None
    # the smallest first: they are compressed at once, and most layers end among them
    for side, steps in reversed(SIZES):
        smaller = _resized(image, side, smooth=scale)
        if (smaller.size, steps) == tried:
            continue
        larger = _encoded(np.asarray(smaller), palette, steps if scale else len(palette))
        if encoded and len(larger) > share:
            break
        encoded, size, tried = larger, smaller.size, (smaller.size, steps)
    return EmbeddedImage(data_uri(encoded, "png"), *size)


def _palette(image: Image.Image) -> NDArray[np.uint8]:
    """Return red, green, blue and opacity of each index, ``(N, 4)``."""
    rgb = np.array(image.getpalette() or [], dtype=np.uint8).reshape(-1, 3)
    opacity = np.full(len(rgb), 255, dtype=np.uint8)
    given = image.info["transparency"]
    if isinstance(given, bytes):
        opacity[: len(given)] = np.frombuffer(given, dtype=np.uint8)
    else:
        # one index alone is transparent
        opacity[given] = 0
    return np.column_stack([rgb, opacity])


def _resized(image: Image.Image, side: int, smooth: bool) -> Image.Image:
    """Return the indices as grey levels, at most ``side`` pixels long."""
    index = Image.fromarray(np.asarray(image))
    factor = min(1.0, side / max(image.size))
    size = max(1, round(factor * image.width)), max(1, round(factor * image.height))
    return index.resize(size, Image.Resampling.BOX if smooth else Image.Resampling.NEAREST)


def _encoded(index: NDArray[np.uint8], palette: NDArray[np.uint8], steps: int) -> bytes:
    """Return the content of a PNG file with ``steps`` of the palette's colours ``(N, 4)``, evenly chosen."""
    steps = min(steps, len(palette))
    chosen = palette[np.rint(np.linspace(0, len(palette) - 1, steps)).astype(int)]
    coarse = np.rint(index * ((steps - 1) / max(len(palette) - 1, 1))).astype(np.uint8)
    picture = Image.frombytes("P", index.shape[::-1], coarse.tobytes())
    picture.putpalette(chosen[:, :3].tobytes())
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=9, transparency=chosen[:, 3].tobytes())
    return buffer.getvalue()
