"""The pictures that a part of the page shows: gathered first, so that all of them together keep within their sizes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shared.data.errors import DataError
from shared.report.images import LARGEST_SIDES, EmbeddedImage, embed_images
from shared.report.layer_images import embed_layers

__all__ = ["Pictures", "file_inside"]


def file_inside(folder: Path, relative: Any, where: str) -> Path | None:
    """Return the image's path; the index cannot pull any other file of the machine into a page that is passed on.

    Args:
        folder: of the evaluation.
        relative: the path in it; ``None`` for none.
        where: file and key, for messages.

    Raises:
        DataError: if it lies outside the folder.
    """
    if relative is None:
        return None
    path = folder / str(relative)
    if not path.resolve().is_relative_to(folder.resolve()):
        raise DataError(f"{where}: {relative!r} lies outside {folder}; expected a path inside it")
    return path


@dataclass
class Pictures:
    """Pictures of one folder: add all, embed them, then get each.

    Attributes:
        folder: of the evaluation.
    """

    folder: Path
    _plain: dict[Path, None] = field(default_factory=dict)
    _layers: dict[Path, None] = field(default_factory=dict)
    _embedded: dict[Path, EmbeddedImage] = field(default_factory=dict)

    def add(self, name: Any, where: str) -> None:
        """Take down a photograph or a drawing.

        Args:
            name: its path in the folder; ``None`` for none.
            where: file and key, for messages.

        Raises:
            DataError: if it lies outside the folder.
        """
        self._take(self._plain, name, where)

    def add_layer(self, name: Any, where: str) -> None:
        """Take down a layer with a palette; see :meth:`add`."""
        self._take(self._layers, name, where)

    def embed(self, plain_bytes: int, layer_bytes: int = 0, sides: Sequence[int] = LARGEST_SIDES) -> None:
        """Embed what was added, all photographs and all layers within a number of bytes each.

        Args:
            plain_bytes: for photographs and drawings.
            layer_bytes: for layers.
            sides: longer sides of photographs that are tried, pixels, falling.

        Raises:
            DataError: if a file is missing or is no image.
        """
        self._embedded |= embed_images(list(self._plain), plain_bytes, sides)
        self._embedded |= embed_layers(list(self._layers), layer_bytes)
        self._plain.clear()
        self._layers.clear()

    def get(self, name: Any, where: str) -> EmbeddedImage | None:
        """Return a picture that was embedded; ``None`` for none."""
        path = file_inside(self.folder, name, where)
        return None if path is None else self._embedded[path]

    def _take(self, kind: dict[Path, None], name: Any, where: str) -> None:
        path = file_inside(self.folder, name, where)
        if path is not None:
            kind[path] = None
