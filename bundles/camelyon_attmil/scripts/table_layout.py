"""Any folder of slides with a table of their labels."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd

from scripts.source_slide import SourceSlide
from shared.data.errors import DataError
from shared.data.integrity import Exclusion
from shared.data.number_range import POSITIVE
from shared.data.text_table import read_text_table

__all__ = ["TableLayout"]

_OPTIONAL = ("id", "patient", "annotation", "partly_annotated", "mpp", "part", "kind")
_YES_NO = {"": False, "0": False, "no": False, "1": True, "yes": True}


@dataclass(frozen=True)
class TableLayout:
    """A table with one row per slide.

    Args:
        table: name of the table in the folder, CSV.
        columns: names of the columns: ``slide`` (path relative to the folder), ``label``; and as far as they are there,
            ``id``, ``patient``, ``annotation`` (ASAP XML), ``partly_annotated`` (1 if the annotation outlines only some
            of the tumour), ``mpp`` (µm per pixel), ``part`` (``training`` or ``test``) and ``kind`` (of metastasis).
        labels: what the labels mean, in lower case; an empty one is not known.
        mpp: µm per pixel of slides that have none in the table, in place of what they say; None believes them.

    Raises:
        DataError: if ``mpp`` is no number above 0.
    """

    table: str = "slides.csv"
    columns: Mapping[str, str] = field(default_factory=lambda: {name: name for name in ("slide", "label", *_OPTIONAL)})
    labels: Mapping[str, int] = field(default_factory=lambda: {"0": 0, "normal": 0, "1": 1, "tumor": 1, "tumour": 1})
    mpp: float | None = None

    def __post_init__(self) -> None:
        replace(POSITIVE, optional=True).check("slide_mpp", self.mpp)

    def describe(self) -> str:
        """Say what a folder of this layout holds."""
        return f"{self.table} with the columns {self.columns['slide']} and {self.columns['label']}"

    def fits(self, source: Path) -> bool:
        """Return whether a folder has this layout."""
        return (source / self.table).is_file()

    def files(self, source: Path) -> list[Path]:
        """Return all files that the preparation depends on."""
        table = self._table(source)
        named = [source / name for name in table["slide"] if name]
        named += [source / name for name in table.get("annotation", []) if name]
        return sorted({path for path in [source / self.table, *named] if path.is_file() and source in path.parents})

    def read(self, source: Path) -> tuple[list[SourceSlide], list[Exclusion]]:
        """Return the slides, and what cannot be used, with the reason.

        Raises:
            DataError: if the table cannot be read, lacks a column or holds no row.
        """
        slides, excluded, seen = [], [], set[str]()
        for number, row in enumerate(self._table(source).to_dict("records"), start=2):
            name = row.get("id") or Path(row["slide"]).stem
            try:
                slide = self._slide(row, str(name), source)
                if slide.identity in seen:
                    raise DataError(
                        f"the id '{slide.identity}' is taken by an earlier row; give each slide one of its own"
                    )
            except DataError as error:
                excluded.append(Exclusion(self.table, name or f"row {number}", str(error), "slide"))
                continue
            seen.add(slide.identity)
            slides.append(slide)
        return slides, excluded

    def _slide(self, row: dict[str, str], name: str, source: Path) -> SourceSlide:
        if not row["slide"] or not name or any(mark in name for mark in "/\\"):
            raise DataError(f"slide '{row['slide']}' and id '{name}': expected a path, and a name without slashes")
        label = row["label"].lower()
        if label and label not in self.labels:
            raise DataError(f"label '{row['label']}', expected one of {', '.join(self.labels)} or nothing")
        part = row.get("part", "").lower()
        if part not in ("", "training", "test"):
            raise DataError(f"part '{row['part']}', expected training, test or nothing")
        annotation = row.get("annotation", "")
        if annotation and not (source / annotation).is_file():
            raise DataError(f"annotation {annotation}: no such file; correct the table")
        partly = row.get("partly_annotated", "").lower()
        if partly not in _YES_NO:
            raise DataError(f"partly_annotated '{row['partly_annotated']}', expected 1, 0 or nothing")
        return SourceSlide(
            identity=name,
            path=source / row["slide"],
            patient=row.get("patient") or name,
            label=self.labels[label] if label else None,
            annotation=source / annotation if annotation else None,
            partly_annotated=_YES_NO[partly],
            mpp=_mpp(row["mpp"]) if row.get("mpp") else self.mpp,
            published=part or None,
            kind=row.get("kind") or None,
        )

    def _table(self, source: Path) -> pd.DataFrame:
        file = source / self.table
        table = read_text_table(file)
        names = {column: name for name, column in self.columns.items()}
        table = table.rename(columns=names)
        for name in ("slide", "label"):
            if name not in table:
                raise DataError(
                    f"{file}: no column '{self.columns[name]}' (found {', '.join(table.columns)}); add it, or name "
                    f"yours by --table#columns#{name} NAME"
                )
        if table.empty:
            raise DataError(f"{file}: no row; add one for each slide")
        return table


def _mpp(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if value not in POSITIVE:
        raise DataError(f"mpp '{text}', expected µm per pixel as a number above 0, e.g. 0.25, or nothing")
    return value
