"""The folder that a station is pointed at: the files of a request under names that mean nothing to a config."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from shared.data.errors import DataError
from shared.serving.items import Item

__all__ = ["Staged", "StagedFiles", "Staging"]


@dataclass(frozen=True)
class Staged:
    """What a station can judge in one run.

    Args:
        source: file or folder to be given as ``dataset_dir``.
        keys: of the items in it.
        refused: why an item cannot be judged, by its key.
    """

    source: Path
    keys: tuple[str, ...]


class Staging(Protocol):
    """Lays items out as a bundle's ``inferring`` reads them."""

    def describe(self) -> Mapping[str, Any]:
        """Return what is accepted, for clients: ``suffixes``, whether a ``folder`` is, and ``attributes``."""

    def __call__(self, items: Sequence[Item], folder: Path) -> list[Staged]:
        """Lay items out below an empty folder.

        Raises:
            DataError: if an item is of a kind that is not accepted.
        """


@dataclass(frozen=True)
class StagedFiles:
    """Links the file of each item into one folder, named by its key.

    Args:
        suffixes: of the files that are accepted, in small letters; one suffix alone decides how a file is read.
        alone: suffixes of files that are judged by themselves, because a folder of them means something else.
        apart: suffixes of files that are judged together, but not in one folder with others.
        companions: whether a folder named like a file, without the suffix, belongs to it, as for MIRAX slides.
    """

    suffixes: Sequence[str]
    alone: Sequence[str] = ()
    apart: Sequence[str] = ()
    companions: bool = False

    def describe(self) -> Mapping[str, Any]:
        """Return what is accepted, for clients."""
        return {"suffixes": list(self.suffixes), "folder": False, "attributes": []}

    def __call__(self, items: Sequence[Item], folder: Path) -> list[Staged]:
        """Link the files of items below an empty folder.

        Raises:
            DataError: if an item is no file, or its suffix none of those that are accepted.
        """
        folder.mkdir(parents=True)
        staged: list[Staged] = []
        together: dict[Path, list[str]] = {}
        for item in items:
            suffix = item.source.suffix.lower()
            if not item.source.is_file() or suffix not in self.suffixes:
                found = "a folder" if item.source.is_dir() else f"a file of kind '{suffix}'"
                raise DataError(f"{item.key}: found {found}, expected a file of kind {', '.join(self.suffixes)}")
            if suffix in self.alone:
                place = folder / f"alone-{len(staged)}"
            else:
                place = folder / ("apart" if suffix in self.apart else "together")
            place.mkdir(exist_ok=True)
            link = place / f"{item.key}{suffix}"
            link.symlink_to(item.source.resolve())
            companion = item.source.with_suffix("")
            if self.companions and companion.is_dir():
                link.with_suffix("").symlink_to(companion.resolve(), target_is_directory=True)
            if suffix in self.alone:
                staged.append(Staged(link, (item.key,)))
            else:
                together.setdefault(place, []).append(item.key)
        return [*staged, *(Staged(place, tuple(keys)) for place, keys in together.items())]
