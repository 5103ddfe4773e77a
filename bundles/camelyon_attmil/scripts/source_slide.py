"""A slide as a data set on disk names it, before it is looked at."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

from shared.data.integrity import Exclusion
from shared.data.layouts import SourceLayout

__all__ = ["SLIDE_SUFFIXES", "Layout", "SourceSlide", "ambiguous_names"]

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
        partly_annotated: whether the annotation outlines only some of the tumour: outside of it nothing is known.
        mpp: µm per pixel in place of what the slide says.
        published: the part that it was published in, ``training`` or ``test``; None if there are none.
        kind: of the metastases, as it was published.
    """

    identity: str
    path: Path
    patient: str
    label: int | None = None
    annotation: Path | None = None
    partly_annotated: bool = False
    mpp: float | None = None
    published: str | None = None
    kind: str | None = None


class Layout(SourceLayout, Protocol):
    """How slides lie on disk."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    def read(self, source: Path) -> tuple[list[SourceSlide], list[Exclusion]]:
        """Return the slides, and what cannot be used, with the reason."""


def ambiguous_names(named: Iterable[tuple[str, Path]]) -> dict[str, str]:
    """Return the names that several files have, each with what is wrong: features and results are kept by name.

    Args:
        named: name and file of each slide.

    Example:
        >>> ambiguous_names([("a", Path("a.tif")), ("a", Path("a.tiff")), ("b", Path("b.tif"))])
        {'a': "the name 'a' is that of a.tif and a.tiff; rename or take out all but one of them"}
    """
    files: dict[str, list[str]] = {}
    for name, path in named:
        files.setdefault(name, []).append(str(path))
    return {
        name: f"the name '{name}' is that of {' and '.join(paths)}; rename or take out all but one of them"
        for name, paths in files.items()
        if len(paths) > 1
    }
