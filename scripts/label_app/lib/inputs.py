"""What a request points at, laid out as a worker takes it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lib.archives import ArchiveLimits, unpack_images
from lib.errors import RequestError
from lib.parameters import ATTRIBUTES
from lib.served_models import ARCHIVE, ServedModel

__all__ = ["Input", "item_of", "key_of"]


@dataclass(frozen=True)
class Input:
    """One image, slide or patient.

    Args:
        name: as the client calls it.
        source: file, archive or folder of images.
        attributes: what else is known of it; other keys than those of a patient are passed over.
        kept: whether it stays on the server, so that what was computed of it may be used again.
    """

    name: str
    source: Path
    attributes: Mapping[str, Any] = field(default_factory=dict)
    kept: bool = False

    def version(self) -> str:
        """Return a name that changes when the file does."""
        stat = self.source.stat()
        said = f"{self.name}\0{self.source}\0{stat.st_mtime_ns}\0{stat.st_size}\0{sorted(self.attributes.items())}"
        return f"{key_of(self.name)[:60]}-{hashlib.sha256(said.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}"


def key_of(name: str) -> str:
    """Return the key of an item for a name of any kind: letters, digits, ``_`` and ``-``; no two names have one key.

    Example:
        >>> key_of("P1 left.png")
        'P1_left_png-82ab7e3a3f16'
    """
    readable = re.sub(r"[^A-Za-z0-9_-]+", "_", name)[:80].strip("_-") or "image"
    return f"{readable}-{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:12]}"


def item_of(given: Input, model: ServedModel, folder: Path, limits: ArchiveLimits) -> dict[str, Any]:
    """Return the item of a worker's request.

    Args:
        given: what was asked.
        model: that is asked.
        folder: where an archive is unpacked to; need not exist.
        limits: of archives.

    Raises:
        RequestError: if the model does not take such files.
    """
    key = key_of(given.name)
    source = given.source
    if model.takes_folders:
        if source.is_file() and source.suffix.lower() == ARCHIVE:
            unpack_images(source, folder / key, model.image_suffixes, limits)
            source = folder / key
        elif not source.is_dir():
            raise RequestError(
                f"{given.name}: {model.name} judges all images of a patient together; send them as {ARCHIVE}", 415
            )
    elif source.is_dir():
        inside = [path for path in sorted(source.iterdir()) if path.suffix.lower() in model.image_suffixes]
        if len(inside) != 1:
            raise RequestError(f"{given.name}: found {len(inside)} images, {model.name} judges one at a time")
        source = inside[0]
    if source.is_file() and source.suffix.lower() not in model.image_suffixes:
        raise RequestError(f"{given.name}: expected one of {', '.join(model.upload_suffixes)}", 415)
    attributes = {name: given.attributes[name] for name in ATTRIBUTES if name in given.attributes}
    return {"key": key, "source": str(source.resolve()), "attributes": attributes}
