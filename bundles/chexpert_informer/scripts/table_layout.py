"""One table of images and a folder that holds them: the NIH's archive, and plain tables like it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scripts.chest_image import PICTURES
from scripts.finding_boxes import BoxTable
from scripts.findings import FINDINGS
from scripts.source_image import SourceImage, clean_age, clean_sex, finding_codes, read_table
from shared.data.errors import DataError
from shared.data.integrity import Exclusion

__all__ = ["TableLayout"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TableLayout:
    """Reads a table with one row per image.

    Args:
        table: file name of the table; may hold ``*``.
        columns: name of the columns by role: ``image`` (file name), ``patient``, if there are such ``age``, ``sex`` and
            ``view``, and either one for each finding (1, 0, −1 or nothing) or ``names``, which holds the names of all
            findings with ``|`` between them.
        names: how the table calls each finding, where its column ``names`` is used.
        lists: file of image names by published part (``train``, ``test``), where there are such.
        boxes: table of boxes around findings, where there may be one.
    """

    table: str
    columns: Mapping[str, str]
    names: Mapping[str, str] = field(default_factory=dict)
    lists: Mapping[str, str] = field(default_factory=dict)
    boxes: BoxTable | None = None

    def fits(self, source: Path) -> bool:
        """Return whether a folder has such a table, and pictures in folders beside it."""
        pictures = (path for path in source.glob("*/**/*") if path.suffix.lower() in PICTURES)
        return bool(self._tables(source)) and next(pictures, None) is not None

    def describe(self) -> str:
        """Return what a folder of this layout holds."""
        return f"{self.table} with images/<image>.png"

    def files(self, source: Path) -> list[Path]:
        """Return the table, the lists, the table of boxes and all pictures."""
        lists = [source / name for name in self.lists.values() if (source / name).is_file()]
        lists += [] if self.boxes is None else self.boxes.places(source)
        return [*self._tables(source), *lists, *(path for paths in self._pictures(source).values() for path in paths)]

    def read(self, source: Path) -> tuple[list[SourceImage], list[Exclusion]]:
        """Return the images of the table, and the rows that cannot be used.

        Raises:
            DataError: if the table cannot be read or lacks a column, or there are several.
        """
        (file, *others) = self._tables(source)
        if others:
            raise DataError(f"{source}: holds both {file.name} and {others[0].name}; keep the one that counts")
        by_name = "names" in self.columns
        needed = {role: self.columns[role] for role in ("image", "patient", *(("names",) if by_name else FINDINGS))}
        table = read_table(file, needed)
        codes, faults = self._named(table) if by_name else finding_codes(table, dict(self.columns))
        pictures, published = self._pictures(source), self._published(source)
        roles = ("image", "patient", "age", "sex", "view")
        texts = {role: self._column(table, role) for role in roles}
        boxes, excluded = ({}, []) if self.boxes is None else self.boxes.read(source)
        if unknown := boxes.keys() - set(texts["image"]):
            logger.info("%s: boxes of %d images that are not in %s are passed over", source, len(unknown), file.name)
        images = []
        for row, name in enumerate(texts["image"]):
            places = pictures.get(name, [])
            if row not in faults and not texts["patient"][row]:
                faults[row] = f"no {self.columns['patient']}; images are split by patient"
            if row not in faults and len(places) > 1:
                faults[row] = f"is there twice: {_relative(places[0], source)} and {_relative(places[1], source)}"
            if row in faults:
                excluded.append(Exclusion(file.name, name or f"row {row + 2}", faults[row], "image"))
                continue
            view = texts["view"][row].upper()
            images.append(
                SourceImage(
                    identity=Path(name).stem,
                    patient=texts["patient"][row],
                    path=places[0] if places else source / "images" / name,
                    codes=tuple(codes[row].tolist()),
                    frontal=(view in ("AP", "PA")) if view else None,
                    view=view if view in ("AP", "PA") else None,
                    age=clean_age(texts["age"][row]),
                    sex=clean_sex(texts["sex"][row]),
                    published=published.get(name),
                    boxes=boxes.get(name),
                )
            )
        return images, excluded

    def _tables(self, source: Path) -> list[Path]:
        return sorted(source.glob(self.table))

    def _pictures(self, source: Path) -> dict[str, list[Path]]:
        """Return the pictures in the source's folders, by file name; the archive has them in several."""
        found: dict[str, list[Path]] = {}
        for path in sorted(source.glob("*/**/*")):
            if path.suffix.lower() in PICTURES:
                found.setdefault(path.name, []).append(path)
        return found

    def _published(self, source: Path) -> dict[str, str]:
        parts = {part: source / file for part, file in self.lists.items()}
        return {
            name.strip(): part
            for part, file in parts.items()
            if file.is_file()
            for name in file.read_text(encoding="utf-8").splitlines()
        }

    def _named(self, table: pd.DataFrame) -> tuple[NDArray[np.float64], dict[int, str]]:
        """Return codes from the names of findings: 1 where named, else 0."""
        cells = ("|" + table[self.columns["names"]] + "|").str.lower()
        named = [cells.str.contains(f"|{self.names[name].lower()}|", regex=False).to_numpy() for name in FINDINGS]
        blank = table[self.columns["names"]] == ""
        reason = f"no {self.columns['names']}, expected names of findings or 'No Finding'"
        return np.stack(named, axis=1).astype(float), {int(row): reason for row in np.flatnonzero(blank)}

    def _column(self, table: pd.DataFrame, role: str) -> list[str]:
        column = self.columns.get(role)
        return table[column].tolist() if column in table.columns else [""] * len(table)


def _relative(path: Path, source: Path) -> str:
    return path.relative_to(source).as_posix()
