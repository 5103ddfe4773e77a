"""The study's patients, read as preparing reads them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedShuffleSplit

from scripts.prepare import Preparation, patient_records
from scripts.study.settings import BUNDLE_ROOT
from shared.data.datalist import write_datalist
from shared.data.errors import DataError
from shared.data.files import sha256_file
from shared.data.integrity import write_excluded
from shared.data.layouts import recognise
from shared.data.prepare_settings import read_prepare_settings
from shared.study.splits import Split

__all__ = ["Patients", "read_patients", "write_split"]


@dataclass(frozen=True)
class Patients:
    """Labelled patients.

    Attributes:
        records: as in a datalist, with absolute paths.
        classes: names of the classes in the order of the labels.
        sha256: hash of everything that the records say, and of the image files' contents.
    """

    records: list[dict[str, Any]]
    classes: tuple[str, ...]
    sha256: str

    def __len__(self) -> int:
        return len(self.records)

    @cached_property
    def labels(self) -> NDArray[np.int64]:
        """Class of each patient, ``(P,)``."""
        return np.array([record["label"] for record in self.records], dtype=np.int64)

    @cached_property
    def attributes(self) -> NDArray[np.float64]:
        """Age in years and lymphocyte count in 10⁹/L, ``(P, 2)``."""
        return np.array([[record["age"], record["lymphocyte_count"]] for record in self.records])

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        """Number of images of each patient, ``(P,)``."""
        return np.array([len(record["image"]) for record in self.records], dtype=np.int64)

    def of(self, indices: Sequence[int] | NDArray[np.integer]) -> list[dict[str, Any]]:
        """Return some of the records."""
        return [self.records[index] for index in indices]


def read_patients(
    folder: Path, output: Path, patients: int | None = None, cells: int | None = None, workers: int = 1
) -> Patients:
    """Read a data set in any of the layouts that preparing knows, with the settings of ``configs/prepare.json``.

    What cannot be used is written to ``excluded.csv`` in ``output``. Patients without a diagnosis are not of the study.

    Args:
        folder: the data set.
        output: folder of the study.
        patients: so many patients only, both classes in their shares.
        cells: at most so many images of each.
        workers: processes that read images.

    Raises:
        DataError: if the folder has none of the layouts, or no labelled patient.
    """
    preparation: Preparation = read_prepare_settings(
        BUNDLE_ROOT / "configs" / "prepare.json", {"bundle_root": str(BUNDLE_ROOT)}
    ).get_parsed_content("prepare")
    _, layout = recognise(folder, preparation.layouts)
    found, excluded, _ = patient_records(layout, preparation.check, folder, max(workers, 1))
    write_excluded(output / "excluded.csv", excluded)
    records = [record for record in found if "label" in record]
    if not records:
        raise DataError(f"{folder}: no patient with a diagnosis; see {output / 'excluded.csv'} for what was left out")
    if patients is not None and patients < len(records):
        draw = StratifiedShuffleSplit(1, train_size=patients, random_state=0)
        chosen, _ = next(draw.split(records, [record["label"] for record in records]))
        records = [records[index] for index in np.sort(chosen)]
    records = [{**record, "image": record["image"][:cells]} for record in records]
    return Patients(records, tuple(preparation.classes), _content_hash(records))


def write_split(folder: Path, patients: Patients, split: Split) -> None:
    """Write ``<folder>/datalist.json`` with the patients of each section."""
    write_datalist(
        folder / "datalist.json",
        {section: patients.of(indices) for section, indices in split._asdict().items()},
        classes=patients.classes,
        info={"bundle": "lymphocytosis_moe", "split_by": "patient"},
    )


def _content_hash(records: Sequence[dict[str, Any]]) -> str:
    digest = hashlib.sha256()
    for record in records:
        said = {key: value for key, value in record.items() if key not in ("image", "truth")}
        digest.update(json.dumps(said, sort_keys=True).encode())
        for path in record["image"]:
            digest.update(sha256_file(path).encode())
    return digest.hexdigest()
