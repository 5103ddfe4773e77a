"""CheXpert's layout: ``train.csv``, ``valid.csv`` and ``test.csv``, and one folder per patient and study."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from scripts.findings import FINDINGS
from scripts.source_image import SourceImage, clean_age, clean_sex, finding_codes, read_table
from shared.data.integrity import Exclusion

__all__ = ["CheXpertLayout"]

# whatever folder the publisher put before it: CheXpert-v1.0-small/train/patient00001/study1/view1_frontal.jpg
_PATH = r"(?:^|/)(?P<place>(?P<folder>[^/]+)/(?P<patient>patient\d+)/(?P<study>study\d+)/(?P<view>[^/]+)\.\w+)$"


@dataclass(frozen=True)
class CheXpertLayout:
    """Reads CheXpert (Irvin et al. 2019) as published, original or small, and phantoms of its layout.

    Args:
        tables: file name of each table. Those that are not there are passed over.
        columns: name of the columns by role: ``path``, the five findings, and if they are there ``sex``, ``age``,
            ``frontal`` and ``view``. A table without ``frontal``, as that of the test set, is of frontal images where
            the file is called so.
    """

    tables: Mapping[str, str] = field(
        default_factory=lambda: {"train": "train.csv", "valid": "valid.csv", "test": "test.csv"}
    )
    columns: Mapping[str, str] = field(
        default_factory=lambda: {
            "path": "Path",
            "sex": "Sex",
            "age": "Age",
            "frontal": "Frontal/Lateral",
            "view": "AP/PA",
            "atelectasis": "Atelectasis",
            "cardiomegaly": "Cardiomegaly",
            "consolidation": "Consolidation",
            "edema": "Edema",
            "pleural_effusion": "Pleural Effusion",
        }
    )

    def fits(self, source: Path) -> bool:
        """Return whether a folder has one of the tables."""
        return any((source / name).is_file() for name in self.tables.values())

    def describe(self) -> str:
        """Return what a folder of this layout holds."""
        return f"{', '.join(self.tables.values())} with <table>/patient00001/study1/view1_frontal.jpg (CheXpert)"

    def files(self, source: Path) -> list[Path]:
        """Return the tables, and all files below the folders of patients."""
        tables = [source / name for name in self.tables.values() if (source / name).is_file()]
        folders = [path for path in sorted(source.iterdir()) if path.is_dir() and any(path.glob("patient*"))]
        return [*tables, *sorted(path for folder in folders for path in folder.rglob("*") if path.is_file())]

    def read(self, source: Path) -> tuple[list[SourceImage], list[Exclusion]]:
        """Return the images of all tables, and the rows that cannot be used.

        Raises:
            DataError: if a table cannot be read or lacks a column.
        """
        images: list[SourceImage] = []
        excluded: list[Exclusion] = []
        for name, file in self.tables.items():
            if (source / file).is_file():
                found, faults = self._read_table(source, name, file)
                images += found
                excluded += faults
        return images, excluded

    def _read_table(self, source: Path, name: str, file: str) -> tuple[list[SourceImage], list[Exclusion]]:
        needed = {role: self.columns[role] for role in ("path", *FINDINGS)}
        table = read_table(source / file, needed)
        codes, faults = finding_codes(table, dict(self.columns))
        paths = table[self.columns["path"]]
        parts = paths.str.replace("\\", "/").str.extract(_PATH)
        for row in parts.index[parts["place"].isna()]:
            faults.setdefault(int(row), "its path names no patient, expected …/patient00001/study1/view1_frontal.jpg")
        sexes, ages, frontal, views = (self._column(table, role) for role in ("sex", "age", "frontal", "view"))
        images, excluded = [], []
        for row, part in enumerate(parts.itertuples(index=False)):
            if row in faults:
                excluded.append(Exclusion(file, paths[row] or f"row {row + 2}", faults[row], "image"))
                continue
            is_frontal = (frontal[row] or part.view).lower().endswith("frontal")
            view = views[row].upper()
            truth = (source / "truth" / part.place).with_suffix(".png")
            images.append(
                SourceImage(
                    identity=f"{part.patient}_{part.study}_{part.view}",
                    patient=part.patient,
                    path=source / part.place,
                    codes=tuple(codes[row].tolist()),
                    frontal=is_frontal,
                    view=view if is_frontal and view in ("AP", "PA") else None,
                    age=clean_age(ages[row]),
                    sex=clean_sex(sexes[row]),
                    published=name,
                    truth=truth if truth.is_file() else None,
                )
            )
        return images, excluded

    def _column(self, table: pd.DataFrame, role: str) -> list[str]:
        column = self.columns.get(role)
        return table[column].tolist() if column in table.columns else [""] * len(table)
