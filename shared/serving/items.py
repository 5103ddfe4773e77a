"""What a request names: one thing to be judged, where its file is, and what a form says besides."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shared.data.errors import DataError

__all__ = ["Item", "key_of"]

KEY = re.compile(r"[A-Za-z0-9_-]{1,120}")


@dataclass(frozen=True)
class Item:
    """A cell, a chest X-ray, a slide, or the images of one patient.

    Args:
        key: its name in the stations' files: letters, digits, ``_`` and ``-``, and no dot, so that it is what a file's
            name is before the first dot.
        source: its file, or the folder of its images.
        attributes: what else is known of it: age, lymphocyte count, patient.
        label: a class's name, or 0 or 1 by finding; ``None`` if it is not known.

    Raises:
        DataError: if the key is none, or nothing is at ``source``.
    """

    key: str
    source: Path
    attributes: Mapping[str, Any] = field(default_factory=dict)
    label: Any = None

    def __post_init__(self) -> None:
        if not KEY.fullmatch(self.key):
            raise DataError(f"key {self.key!r}: expected at most 120 letters, digits, _ and -")
        if not self.source.exists():
            raise DataError(f"{self.source}: no such file or folder")

    @classmethod
    def of_json(cls, content: Mapping[str, Any]) -> Item:
        """Return the item that a request describes.

        Raises:
            DataError: if it lacks ``key`` or ``source``, or has other keys than the item's.
        """
        if unknown := sorted(content.keys() - {"key", "source", "attributes", "label"}):
            raise DataError(f"item: unknown key {unknown[0]!r}; expected key, source, attributes and label")
        for name in ("key", "source"):
            if not isinstance(content.get(name), str):
                raise DataError(f"item: {name} is {content.get(name)!r}, expected text")
        return cls(content["key"], Path(content["source"]), content.get("attributes") or {}, content.get("label"))


def key_of(record_id: str) -> str:
    """Return the key of the item that a record comes from, of which its file is named.

    Example:
        >>> key_of("cell-12.npy"), key_of("slide-7")
        ('cell-12', 'slide-7')
    """
    return record_id.rpartition("/")[2].partition(".")[0]
