"""Which of the layouts that a bundle knows a folder has."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol, TypeVar

from shared.data.errors import DataError

__all__ = ["SourceLayout", "recognise"]


class SourceLayout(Protocol):
    """One published way to lay a data set out."""

    def describe(self) -> str:
        """Return what a folder of this layout holds, for an error message."""

    def fits(self, source: Path) -> bool:
        """Return whether a folder has this layout."""

    def files(self, source: Path) -> list[Path]:
        """Return the files that the result of preparing depends on."""


Known = TypeVar("Known", bound=SourceLayout)


def recognise(source: Path, layouts: Mapping[str, Known]) -> tuple[str, Known]:
    """Return the layout of a folder and its name.

    Args:
        source: the folder.
        layouts: by their keys in ``configs/prepare.json``.

    Raises:
        DataError: if it is none of the layouts, or several.
    """
    expected = "; or ".join(layout.describe() for layout in layouts.values())
    if not source.is_dir():
        found = "is a file" if source.exists() else "no such folder"
        raise DataError(f"{source}: {found}; expected as --source a folder that holds {expected}")
    fitting = {name: layout for name, layout in layouts.items() if layout.fits(source)}
    if not fitting:
        names = ", ".join(sorted(path.name for path in source.iterdir())[:5])
        raise DataError(f"{source}: nothing to prepare; found {names or 'an empty folder'}, expected {expected}")
    if len(fitting) > 1:
        several = " and ".join(layout.describe() for layout in fitting.values())
        raise DataError(f"{source}: has several layouts ({several}); keep the one that counts")
    return next(iter(fitting.items()))
