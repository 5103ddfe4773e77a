"""A slide as a data set on disk names it, before it is looked at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

from shared.data.errors import DataError
from shared.data.integrity import Exclusion

__all__ = ["SLIDE_SUFFIXES", "Layout", "SourceSlide", "recognise"]

#: of the formats that OpenSlide reads, by the suffix of the file to open
SLIDE_SUFFIXES = (
    ".bif", ".czi", ".dcm", ".mrxs", ".ndpi", ".scn", ".svs", ".svslide", ".tif", ".tiff", ".vms", ".vmu",
)  # fmt: skip


@dataclass(frozen=True)
class SourceSlide:
    """One slide.

    Args:
        identity: its name, unique in the data set.
        path: its file; need not exist where features are there already.
        patient: whose it is.
        label: 1 if there is tumour, 0 if not, None if not known.
        annotation: outlines of tumour, None if there are none.
        exhaustive: whether the annotation outlines all tumour.
        mpp: µm per pixel in place of what the slide says.
        published: the part that it was published in, ``training`` or ``test``; None if there are none.
        kind: of the metastases, as it was published.
    """

    identity: str
    path: Path
    patient: str
    label: int | None = None
    annotation: Path | None = None
    exhaustive: bool = True
    mpp: float | None = None
    published: str | None = None
    kind: str | None = None


class Layout(Protocol):
    """How a data set lies on disk."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    def describe(self) -> str:
        """Say what a folder of this layout holds."""

    def fits(self, source: Path) -> bool:
        """Return whether a folder has this layout."""

    def files(self, source: Path) -> list[Path]:
        """Return all files that the preparation depends on."""

    def read(self, source: Path) -> tuple[list[SourceSlide], list[Exclusion]]:
        """Return the slides, and what cannot be used, with the reason."""


def recognise(source: Path, layouts: Mapping[str, Layout]) -> tuple[str, Layout]:
    """Return the layout of a folder and its name.

    Raises:
        DataError: if it is none of the layouts.
    """
    expected = "; or ".join(layout.describe() for layout in layouts.values())
    if not source.is_dir():
        found = "is a file" if source.exists() else "no such folder"
        raise DataError(f"{source}: {found}; expected as --source a folder that holds {expected}")
    for name, layout in layouts.items():
        if layout.fits(source):
            return name, layout
    names = ", ".join(sorted(path.name for path in source.iterdir())[:5])
    raise DataError(f"{source}: nothing to prepare; found {names or 'an empty folder'}, expected {expected}")
