"""A folder of DICOM files, as a hospital exports them, with or without a table of labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from scripts.dicom import DicomHeader, is_dicom, read_header
from scripts.findings import FINDINGS
from scripts.source_image import SourceImage, clean_age, clean_sex, finding_codes, read_table
from shared.data.errors import DataError
from shared.data.integrity import Exclusion

__all__ = ["DicomLayout"]


@dataclass(frozen=True)
class _Row:
    """What the table says of an image: codes of the findings, and texts of patient, age, sex and view."""

    codes: tuple[float, ...] | None = None
    person: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class DicomLayout:
    """Reads DICOM files from a folder of any depth. Without a table, or a row of it, an image is unlabelled.

    Args:
        table: file name of the table of labels in that folder; need not exist.
        columns: name of its columns by role: ``image``, which holds the path relative to the folder, the file's name or
            its SOPInstanceUID; the five findings; and if there are such ``patient``, ``age``, ``sex`` and ``view``,
            which come before what the file says.
        frontal: values of ViewPosition that are frontal.
        unknown_patient: ``exclude`` images of nobody, since data are split by patient, or ``keep`` them: each study
            then counts as a patient of its own.
    """

    table: str = "labels.csv"
    columns: Mapping[str, str] = field(
        default_factory=lambda: (
            {"image": "image", "patient": "patient", "age": "age", "sex": "sex", "view": "view"}
            | {name: name for name in FINDINGS}
        )
    )
    frontal: tuple[str, ...] = ("PA", "AP")
    unknown_patient: str = "exclude"

    def fits(self, source: Path) -> bool:
        """Return whether a folder holds a DICOM file."""
        return any(path.is_file() and is_dicom(path) for path in source.rglob("*"))

    def describe(self) -> str:
        """Return what a folder of this layout holds."""
        return f"DICOM files, with or without {self.table}"

    def files(self, source: Path) -> list[Path]:
        """Return the table, if there is one, and all DICOM files."""
        table = source / self.table
        return [*([table] if table.is_file() else []), *self._list(source)]

    def read(self, source: Path) -> tuple[list[SourceImage], list[Exclusion]]:
        """Return the images, and what cannot be used.

        Raises:
            DataError: if there is a table and it cannot be read or lacks a column.
        """
        rows, excluded = self._rows(source)
        refused = {item.item for item in excluded}
        images, used = [], set()
        files = self._list(source)
        names = Counter(path.name for path in files)
        for path in files:
            place = path.relative_to(source).as_posix()
            try:
                header = read_header(path)
                keys = (place, path.name if names[path.name] == 1 else "", header.instance or "")
                key = next((key for key in keys if key in rows or key in refused), "")
                used.add(key)
                if key not in refused:
                    images.append(self._image(path, place, header, rows.get(key, _Row())))
            except DataError as error:
                excluded.append(Exclusion(place, place, str(error), "image"))
        reason = f"in {self.table}, but no such file; expected its path, name or SOPInstanceUID"
        excluded += [Exclusion(self.table, key, reason, "image") for key in rows if key not in used]
        return images, excluded

    def _list(self, source: Path) -> list[Path]:
        return [path for path in sorted(source.rglob("*")) if path.is_file() and is_dicom(path)]

    def _rows(self, source: Path) -> tuple[dict[str, _Row], list[Exclusion]]:
        """Return the rows of the table by the image that they name, and those that cannot be used."""
        file = source / self.table
        if not file.is_file():
            return {}, []
        table = read_table(file, {role: self.columns[role] for role in ("image", *FINDINGS)})
        codes, faults = finding_codes(table, dict(self.columns))
        keys = table[self.columns["image"]].str.replace("\\", "/").tolist()
        texts = {
            role: table[column].tolist()
            for role, column in self.columns.items()
            if role in ("patient", "age", "sex", "view") and column in table.columns
        }
        rows: dict[str, _Row] = {}
        excluded = []
        for number, key in enumerate(keys):
            if not key:
                faults[number] = f"no {self.columns['image']}"
            elif key in rows:
                faults[number] = "is named twice; keep the row that counts"
                del rows[key]
            if number in faults:
                excluded.append(Exclusion(self.table, key or f"row {number + 2}", faults[number], "image"))
            else:
                rows[key] = _Row(tuple(codes[number].tolist()), {role: text[number] for role, text in texts.items()})
        return rows, excluded

    def _image(self, path: Path, place: str, header: DicomHeader, row: _Row) -> SourceImage:
        said = row.person
        patient = said.get("patient") or header.patient
        if not patient and self.unknown_patient == "keep" and header.study:
            patient = f"unknown, study {header.study}"
        if not patient:
            raise DataError(f"{place}: no PatientID and no patient in {self.table}; images are split by patient")
        view = (said.get("view") or header.view or "").upper()
        frontal = view in self.frontal if view else None
        return SourceImage(
            identity=place.removesuffix(".dcm"),
            patient=patient,
            path=path,
            codes=row.codes,
            frontal=frontal,
            view=view if frontal else None,
            age=clean_age(said["age"]) if said.get("age") else header.age,
            sex=clean_sex(said["sex"]) if said.get("sex") else header.sex,
        )
