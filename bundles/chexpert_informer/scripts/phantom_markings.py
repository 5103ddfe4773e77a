"""What is written on a film and where its light ends: side marker, text, edge of the collimator."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pictures
from PIL import ImageDraw, ImageFont

from scripts.phantom_grid import FilmGrid
from scripts.phantom_parameters import PhantomParameters
from scripts.phantom_patients import PhantomStudy

__all__ = ["mark_film", "write_text"]

Image = NDArray[np.floating]

# letters are drawn this much larger and then averaged down, which gives them smooth edges
_OVERSAMPLING = 4


def mark_film(
    image: Image, study: PhantomStudy, grid: FilmGrid, rng: np.random.Generator, parameters: PhantomParameters
) -> tuple[Image, NDArray[np.bool_]]:
    """Put the marks of a film on it.

    Args:
        image: grey values of 0 to 255, ``(H, W)``.
        study: says whether the film bears the text.
        grid: the film.
        rng: source of randomness.
        parameters: of the phantoms.

    Returns:
        The marked image, and where the text (not the side marker) lies, both ``(H, W)``.
    """
    height, width = grid.shape
    acquisition, shortcut = parameters.acquisition, parameters.shortcut
    collimated, side, depth, slant = (
        rng.random() < acquisition.collimation,
        rng.integers(4),
        rng.uniform(0.3, 1.5),
        rng.normal(0, 0.02),
    )
    if collimated:
        turned = np.rot90(image, int(side))  # a view: what is written into it is written into the image
        rows = np.arange(turned.shape[0])[:, None] - np.arange(turned.shape[1])[None, :] * slant
        turned[rows < depth / grid.pixel_size] *= np.float32(0.03)
    brightness = rng.uniform(215, 255)
    shown, place = rng.random() < acquisition.side_marker, rng.uniform(0.02, 0.10, 2)
    if shown:
        letter = write_text("L", max(1, round(1.5 / grid.pixel_size)))
        corner = int(place[0] * height), width - letter.shape[1] - int(place[1] * width)
        _lay(image, letter, corner, brightness)
    place, left = rng.uniform(0.015, 0.07, 2), rng.random() < 0.6
    marker = np.zeros(grid.shape, bool)
    if study.marker:
        text = write_text(shortcut.text, max(1, round(shortcut.height / grid.pixel_size)))
        row, inset = int(place[0] * height), int(place[1] * width)
        # at the patient's left the text stands below the side marker
        corner = (row, inset) if left else (row + int(0.16 * height), max(0, width - text.shape[1] - inset))
        where = _lay(image, text, corner, brightness)
        marker[where] = True
    return image, marker


@lru_cache(maxsize=64)
def write_text(text: str, height: int) -> Image:
    """Return letters, 0 to 1, on as small an array as holds them.

    Args:
        text: what to write.
        height: of the array, pixels.
    """
    font = ImageFont.load_default(size=_OVERSAMPLING * height)
    box = [int(side) for side in font.getbbox(text)]
    canvas = Pictures.new("L", (box[2] - box[0] + 2, box[3] - box[1] + 2))
    ImageDraw.Draw(canvas).text((1 - box[0], 1 - box[1]), text, fill=255, font=font)
    width = max(1, round(canvas.width * height / canvas.height))
    return np.asarray(canvas.resize((width, height), Pictures.Resampling.BOX), np.float32) / 255


def _lay(image: Image, letters: Image, corner: tuple[int, int], brightness: float) -> tuple[slice, slice]:
    """Lay letters on an image, in place, and return the rectangle that they cover; what lies beyond is cut off."""
    row, column = corner
    where = slice(row, row + letters.shape[0]), slice(column, column + letters.shape[1])
    covered = image[where]
    seen = letters[: covered.shape[0], : covered.shape[1]]
    image[where] = covered * (1 - seen) + np.float32(brightness) * seen
    return where
