"""Pictures that the page shows in several places, each stored once: as symbols at its end, which drawings refer to."""

from __future__ import annotations

from collections.abc import Mapping

from shared.report.images import EmbeddedImage

__all__ = ["PictureStore"]


class PictureStore:
    """Gives every picture a name in the page.

    Example:
        >>> store = PictureStore()
        >>> picture = EmbeddedImage("data:image/png;base64,", 4, 3)
        >>> store.name(picture), store.name(EmbeddedImage("data:image/webp;base64,", 8, 6)), store.name(picture)
        ('picture-0', 'picture-1', 'picture-0')
    """

    def __init__(self) -> None:
        self._names: dict[EmbeddedImage, str] = {}

    def name(self, picture: EmbeddedImage) -> str:
        """Return the id of the picture's symbol; the same for the same bytes."""
        return self._names.setdefault(picture, f"picture-{len(self._names)}")

    @property
    def pictures(self) -> Mapping[str, EmbeddedImage]:
        """All pictures that were named so far, by id."""
        return {name: picture for picture, name in self._names.items()}
