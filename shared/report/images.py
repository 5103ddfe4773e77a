"""PNG files as data URIs of bounded size."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from shared.data.errors import DataError

__all__ = ["LARGEST_SIDES", "EmbeddedImage", "data_uri", "embed_images", "opened_image"]

LARGEST_SIDES = (480, 360, 260, 180)
#: of WebP, falling, each tried before an image is made smaller; below the last, text in a picture frays
QUALITIES = (82, 70, 58)
#: longer side of a picture of single pixels, which no compression may blur
CROP_SIDE = 128


@dataclass(frozen=True)
class EmbeddedImage:
    """An image inside the page.

    Attributes:
        uri: ``data:`` address with the bytes.
        width: in pixels.
        height: in pixels.
    """

    uri: str
    width: int
    height: int

    @property
    def is_crop(self) -> bool:
        """Whether it is so small that a browser should show its pixels instead of smoothing them."""
        return max(self.width, self.height) <= CROP_SIDE


def embed_images(
    paths: Sequence[Path], budget: int = 1_300_000, sides: Sequence[int] = LARGEST_SIDES
) -> dict[Path, EmbeddedImage]:
    """Embed image files, together in about ``budget`` bytes.

    A file within its share of the budget is taken as it is if it is a crop of few pixels, or WebP would be no smaller.
    Any other is stored as WebP, coarser and smaller until it fits or the last of ``sides`` is reached.

    Args:
        paths: PNG files; repeated ones are embedded once.
        budget: bytes for all of them, before the third that base64 adds.
        sides: longer sides that are tried, pixels, falling.

    Raises:
        DataError: if a file is missing or is no image.
    """
    distinct = list(dict.fromkeys(paths))
    share = budget // max(len(distinct), 1)
    return {path: _embed(path, share, sides) for path in distinct}


def opened_image(path: Path) -> tuple[bytes, Image.Image]:
    """Return the content of an image file, and the image.

    Raises:
        DataError: if the file is missing or is no image.
    """
    try:
        content = path.read_bytes()
        image = Image.open(io.BytesIO(content))
        image.load()
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such image; run explaining again") from error
    except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: not a readable image ({error}); run explaining again") from error
    return content, image


def data_uri(content: bytes, kind: str) -> str:
    """Return the ``data:`` address of an image file's content."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"


def _embed(path: Path, share: int, sides: Sequence[int]) -> EmbeddedImage:
    content, image = opened_image(path)
    fits = image.format == "PNG" and len(content) <= share
    if fits and max(image.size) <= CROP_SIDE:
        return EmbeddedImage(data_uri(content, "png"), *image.size)
    compressed, smaller = _compressed(image.convert("RGBA" if image.has_transparency_data else "RGB"), share, sides)
    if fits and len(content) <= len(compressed):
        return EmbeddedImage(data_uri(content, "png"), *image.size)
    return EmbeddedImage(data_uri(compressed, "webp"), *smaller)


def _compressed(image: Image.Image, share: int, sides: Sequence[int]) -> tuple[bytes, tuple[int, int]]:
    """Return the content of a WebP file and its width and height."""
    for side in sides:
        smaller = image.copy()
        smaller.thumbnail((side, side), Image.Resampling.LANCZOS)
        # what is too large at the lowest quality is so at any other
        smallest = _webp(smaller, QUALITIES[-1])
        if len(smallest) <= share:
            better = (_webp(smaller, quality) for quality in QUALITIES[:-1])
            return next((content for content in better if len(content) <= share), smallest), smaller.size
    return smallest, smaller.size


def _webp(image: Image.Image, quality: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=quality, method=4)
    return buffer.getvalue()
