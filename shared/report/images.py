"""PNG files as data URIs of bounded size."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from shared.data.errors import DataError

__all__ = ["EmbeddedImage", "embed_images"]

LARGEST_SIDES = (480, 360, 260, 180)


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
        return max(self.width, self.height) <= 128


def embed_images(
    paths: Sequence[Path], budget: int = 3_000_000, sides: Sequence[int] = LARGEST_SIDES
) -> dict[Path, EmbeddedImage]:
    """Embed image files, together in about ``budget`` bytes.

    A file within its share of the budget is taken as it is. A larger one is stored as WebP, smaller and smaller until
    it fits or the last of ``sides`` is reached.

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


def _embed(path: Path, share: int, sides: Sequence[int]) -> EmbeddedImage:
    try:
        content = path.read_bytes()
        with Image.open(io.BytesIO(content)) as image:
            kind, size = image.format, image.size
            image.load()
            if kind == "PNG" and len(content) <= share:
                return EmbeddedImage(_uri(content, "png"), *size)
            return _compressed(image.convert("RGBA" if image.has_transparency_data else "RGB"), share, sides)
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such image; run explaining again") from error
    except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: not a readable image ({error}); run explaining again") from error


def _compressed(image: Image.Image, share: int, sides: Sequence[int]) -> EmbeddedImage:
    for side in sides:
        smaller = image.copy()
        smaller.thumbnail((side, side), Image.Resampling.LANCZOS)
        buffer = io.BytesIO()
        smaller.save(buffer, "WEBP", quality=82, method=4)
        if buffer.tell() <= share:
            break
    return EmbeddedImage(_uri(buffer.getvalue(), "webp"), *smaller.size)


def _uri(content: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"
