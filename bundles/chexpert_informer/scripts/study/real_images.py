"""The study's real radiographs, read as preparing reads them, and what a published network says of the same images."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scripts.findings import FINDINGS
from scripts.losses import label_matrix
from scripts.prepare import Preparation, image_records
from scripts.study.settings import BUNDLE_ROOT
from shared.data.datalist import write_datalist
from shared.data.errors import DataError
from shared.data.files import sha256_file
from shared.data.integrity import write_excluded
from shared.data.layouts import recognise
from shared.data.prepare_settings import read_prepare_settings
from shared.study.splits import Split

__all__ = ["REFERENCE_FILE", "Radiographs", "read_radiographs", "reference_probabilities", "write_split"]

Floats = NDArray[np.float64]

REFERENCE_FILE = "reference_predictions.csv"
REFERENCE_COLUMNS = {
    "atelectasis": "prob_Atelectasis",
    "cardiomegaly": "prob_Cardiomegaly",
    "consolidation": "prob_Consolidation",
    "edema": "prob_Edema",
    "pleural_effusion": "prob_Effusion",
}


@dataclass(frozen=True)
class Radiographs:
    """Labelled frontal radiographs.

    Attributes:
        records: as in a datalist, with absolute paths.
        sha256: hash of everything that the records say and a run looks at, and of the image files' contents.
    """

    records: list[dict[str, Any]]
    sha256: str

    def __len__(self) -> int:
        return len(self.records)

    @property
    def labels(self) -> Floats:
        """0, 1 or NaN of each image and finding, ``(N, 5)``."""
        return label_matrix(self.records, FINDINGS)

    @property
    def patients(self) -> list[str]:
        """Patient of each image."""
        return [str(record["patient"]) for record in self.records]

    def of(self, indices: Sequence[int] | NDArray[np.integer]) -> list[dict[str, Any]]:
        """Return some of the records."""
        return [self.records[index] for index in indices]


def read_radiographs(folder: Path, output: Path, workers: int = 1) -> Radiographs:
    """Read a data set in any of the layouts that preparing knows, with the settings of ``configs/prepare.json``.

    What cannot be used is written to ``excluded.csv`` in ``output``.

    Args:
        folder: the data set.
        output: folder of the study.
        workers: processes that read images.

    Raises:
        DataError: if the folder has none of the layouts, or no labelled image.
    """
    preparation: Preparation = read_prepare_settings(
        BUNDLE_ROOT / "configs" / "prepare.json", {"bundle_root": str(BUNDLE_ROOT)}
    ).get_parsed_content("prepare")
    _, layout = recognise(folder, preparation.layouts)
    found, excluded = image_records(layout, preparation.selection, preparation.check, folder, max(workers, 1), False)
    write_excluded(output / "excluded.csv", excluded)
    records = [record for record in found if "label" in record]
    if not records:
        raise DataError(f"{folder}: no labelled image; see {output / 'excluded.csv'} for what was left out")
    return Radiographs(records, _content_hash(records))


def write_split(folder: Path, radiographs: Radiographs, split: Split) -> None:
    """Write ``<folder>/datalist.json`` with the images of each section."""
    write_datalist(
        folder / "datalist.json",
        {section: radiographs.of(indices) for section, indices in split._asdict().items()},
        classes=FINDINGS,
        info={"bundle": "chexpert_informer", "split_by": "patient"},
    )


def reference_probabilities(folder: Path, radiographs: Radiographs) -> Floats | None:
    """Return what another network says of the same images, from ``reference_predictions.csv`` beside them.

    Returns:
        Probabilities ``(N, 5)``; None if there is no such file.

    Raises:
        DataError: if the file lacks a finding or an image.
    """
    file = folder / REFERENCE_FILE
    if not file.is_file():
        return None
    table = pd.read_csv(file)
    columns = list(REFERENCE_COLUMNS.values())
    if missing := sorted({"Image Index", *columns} - set(table.columns)):
        raise DataError(f"{file}: no column '{missing[0]}'; found {', '.join(table.columns)}")
    table = table.set_index("Image Index")
    names = [Path(record["image"]).name for record in radiographs.records]
    if strangers := sorted(set(names) - set(table.index)):
        raise DataError(f"{file}: says nothing of {strangers[0]}; expected all {len(names)} images")
    return table.loc[names, columns].to_numpy(dtype=np.float64)


def _content_hash(records: Sequence[dict[str, Any]]) -> str:
    digest = hashlib.sha256()
    for record in records:
        said = {key: value for key, value in record.items() if key not in ("image", "truth", "boxes")}
        digest.update(json.dumps(said, sort_keys=True).encode())
        digest.update(sha256_file(record["image"]).encode())
    return digest.hexdigest()
