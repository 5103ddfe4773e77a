"""Layers of a picture: the image alone, and what is laid over it as small PNG files with transparent colours.

A viewer puts them on one another and fades the upper one, so that the image is stored once for all maps of it. The
palette of a map's layer runs through its colour scale in equal steps: an index is a value, and a layer may be made
smaller or coarser without its colours being mixed.
"""

from __future__ import annotations

import os

import numpy as np
from matplotlib.colors import Colormap
from numpy.typing import ArrayLike, NDArray
from PIL import Image
from skimage.segmentation import find_boundaries

from shared.data.files import atomic_path
from shared.saliency.colours import colour_limit, grey_levels, transparent_colours

__all__ = ["LONGEST_SIDE", "STEPS", "write_levels", "write_map_layer", "write_outline", "write_plain"]

#: larger pictures are made smaller; nobody reads more on a page
LONGEST_SIDE = 1024
#: steps of a colour scale; odd, so that 0 has one of its own in a scale that diverges from it
STEPS = 255
#: longer side that an outline has at least, so that its line is thin beside the pixels of a small image
OUTLINE_SIDE = 300
OUTLINE_COLOURS = ((240, 228, 66), (0, 0, 0))  # yellow of the palette of Okabe and Ito, and the black around it


def write_plain(path: str | os.PathLike[str], image: ArrayLike, window: tuple[float, float] | None = None) -> None:
    """Write an image without frame, title or scale.

    Args:
        path: the file, its name ending in ``.png``.
        image: grey values ``(H, W)``, or colours ``(H, W, 3)`` of 8 bits, which are kept.
        window: grey values shown as black and white; by default robust extremes of the image.
    """
    values = np.asarray(image)
    if values.ndim == 2:
        values = np.rint(255 * grey_levels(values, window)).astype(np.uint8)
    _save(path, _smaller(Image.fromarray(values)))


def write_map_layer(path: str | os.PathLike[str], attribution: ArrayLike, percentile: float = 99.0) -> float:
    """Write a signed map ``(H, W)`` in the colours of the overlays.

    Args:
        path: the file, its name ending in ``.png``.
        attribution: signed map ``(H, W)``.
        percentile: percentile of the magnitude at which the colours saturate.

    Returns:
        The magnitude at which they do.

    Raises:
        ValueError: if the map has not two dimensions, or a value is not finite.
    """
    values = np.asarray(attribution, dtype=np.float64)
    if values.ndim != 2 or not np.isfinite(values).all():
        raise ValueError(f"{path}: expected a finite map (H, W), found shape {values.shape}, or NaN or infinity in it")
    limit = colour_limit(values, percentile)
    write_levels(path, (values / limit + 1) / 2, transparent_colours())
    return limit


def write_levels(path: str | os.PathLike[str], levels: ArrayLike, colours: Colormap) -> None:
    """Write positions on a colour scale as a PNG with a palette.

    Args:
        path: the file, its name ending in ``.png``.
        levels: ``(H, W)``, 0 at the lower and 1 at the upper end of the scale; what lies beyond has the end's colour.
        colours: the scale, with its opacity.
    """
    index = np.rint((STEPS - 1) * np.clip(np.asarray(levels, dtype=np.float64), 0, 1)).astype(np.uint8)
    palette = np.rint(255 * colours(np.linspace(0, 1, STEPS))).astype(np.uint8)  # (STEPS, 4)
    # an index is a value: smoothing is right before the palette is given
    picture = _smaller(Image.fromarray(index))
    _save_palette(path, picture, palette)


def write_outline(path: str | os.PathLike[str], mask: ArrayLike) -> None:
    """Write the border of a mask ``(H, W)`` as a yellow line with a black one around it, transparent elsewhere.

    Args:
        path: the file, its name ending in ``.png``.
        mask: where something is; a small one is written larger, by a whole factor.
    """
    truth = np.asarray(mask) > 0
    factor = -(-OUTLINE_SIDE // max(truth.shape))
    truth = np.asarray(_smaller(Image.fromarray(truth.repeat(factor, axis=0).repeat(factor, axis=1)), smooth=False))
    line = find_boundaries(truth, mode="inner")
    index = np.zeros(truth.shape, dtype=np.uint8)
    index[_grown(line)] = 2
    index[line] = 1
    palette = np.array([(0, 0, 0, 0), *((*colour, 255) for colour in OUTLINE_COLOURS)], dtype=np.uint8)
    _save_palette(path, Image.fromarray(index), palette)


def _grown(line: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the pixels on the line or next to it."""
    padded = np.pad(line, 1)
    height, width = line.shape
    return np.logical_or.reduce([padded[y : y + height, x : x + width] for y in range(3) for x in range(3)])


def _smaller(picture: Image.Image, smooth: bool = True) -> Image.Image:
    if max(picture.size) <= LONGEST_SIDE:
        return picture
    scale = LONGEST_SIDE / max(picture.size)
    size = (max(1, round(scale * picture.width)), max(1, round(scale * picture.height)))
    return picture.resize(size, Image.Resampling.BOX if smooth else Image.Resampling.NEAREST)


def _save_palette(path: str | os.PathLike[str], index: Image.Image, palette: NDArray[np.uint8]) -> None:
    """Write indices as a PNG with a palette ``(N, 4)``."""
    picture = Image.frombytes("P", index.size, index.tobytes())
    picture.putpalette(palette[:, :3].tobytes())
    with atomic_path(path) as temporary:
        picture.save(temporary, format="PNG", transparency=palette[:, 3].tobytes(), optimize=True)


def _save(path: str | os.PathLike[str], picture: Image.Image) -> None:
    with atomic_path(path) as temporary:
        picture.save(temporary, format="PNG", compress_level=3)
