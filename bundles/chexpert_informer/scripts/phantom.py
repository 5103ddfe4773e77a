"""Phantom chests: generated films of patients whose findings, and where these lie, are known.

The files have CheXpert's layout (``train.csv``, ``valid.csv``, ``test.csv``, one folder per patient and study), so that
the whole way from there to a prediction runs on them; only ``truth/`` and ``phantom.csv`` are extra. Everything follows
from the seed.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from scripts.findings import FINDINGS
from scripts.phantom_parameters import PhantomParameters
from scripts.phantom_patients import PhantomStudy, sample_studies
from scripts.phantom_rendering import render_study
from shared.data.files import atomic_path
from shared.data.processes import in_processes

__all__ = ["OBSERVATIONS", "write_chests"]

JPEG = {"quality": 92}
PREFIX = "CheXpert-v1.0-small"

#: CheXpert's fourteen observations, in the order of its tables
OBSERVATIONS = (
    "No Finding",
    "Enlarged Cardiomediastinum",
    "Cardiomegaly",
    "Lung Opacity",
    "Lung Lesion",
    "Edema",
    "Consolidation",
    "Pneumonia",
    "Atelectasis",
    "Pneumothorax",
    "Pleural Effusion",
    "Pleural Other",
    "Fracture",
    "Support Devices",
)


def write_chests(
    folder: str | Path,
    variant: str = "plain",
    seed: int = 0,
    patients: Mapping[str, int] | None = None,
    studies: int = 1,
    image_size: int = 320,
    image_format: str = "jpg",
    parameters: PhantomParameters | Mapping[str, Any] | None = None,
    workers: int = 1,
    progress: bool = True,
) -> Path:
    """Write phantom chests.

    Args:
        folder: where to write; made if missing.
        variant: ``plain`` or ``shortcut``, see :func:`scripts.phantom_patients.sample_studies`.
        seed: of everything.
        patients: number of patients of each table; ``train`` 480, ``valid`` and ``test`` 160 each if None.
        studies: number of studies of each patient, one frontal film each.
        image_size: rows and columns of a film, pixels.
        image_format: ``jpg`` or ``png``.
        parameters: of the phantoms, or a nested mapping of the values to change.
        workers: number of processes; the files do not depend on it.
        progress: whether to show a progress bar.

    Returns:
        The folder.

    Raises:
        ValueError: if the variant, the format, a table or a parameter's name is unknown.
    """
    if image_format not in ("jpg", "png"):
        raise ValueError(f"image_format must be jpg or png, found '{image_format}'")
    patients = {"train": 480, "valid": 160, "test": 160} if patients is None else patients
    if unknown := sorted(set(patients) - {"train", "valid", "test"}):
        raise ValueError(f"patients: no table is called '{unknown[0]}'; choose of train, valid and test")
    if not isinstance(parameters, PhantomParameters):
        parameters = PhantomParameters.from_config(parameters)
    root = Path(folder)
    drawn = sample_studies(patients, seed, variant, studies, parameters)
    write = partial(
        _write_study, root=root, seed=seed, image_size=image_size, image_format=image_format, parameters=parameters
    )
    with tqdm(total=len(drawn), desc="drawing", unit="film", disable=not progress) as bar:
        for _ in in_processes(write, drawn, workers):
            bar.update()
    for table in patients:
        rows = [_row(study, image_format) for study in drawn if study.table == table]
        _write_table(root / f"{table}.csv", pd.DataFrame(rows))
    _write_table(root / "phantom.csv", pd.DataFrame([_truth(study, image_format) for study in drawn]))
    return root


def _write_study(
    study: PhantomStudy, root: Path, seed: int, image_size: int, image_format: str, parameters: PhantomParameters
) -> None:
    film, truth = render_study(study, seed, image_size, parameters)
    _save(film, root / f"{study.place}/view1_frontal.{image_format}")
    _save(truth, root / "truth" / f"{study.place}/view1_frontal.png")


def _row(study: PhantomStudy, image_format: str) -> dict[str, Any]:
    """Return a study's row of CheXpert's table."""
    codes = dict(zip(FINDINGS, study.codes, strict=True))
    nothing = all(code != 1 and code != -1 for code in study.codes)
    labels = {name: codes.get(name.lower().replace(" ", "_"), np.nan) for name in OBSERVATIONS}
    return {
        "Path": f"{PREFIX}/{study.place}/view1_frontal.{image_format}",
        "Sex": {"F": "Female", "M": "Male"}[study.sex],
        "Age": study.age,
        "Frontal/Lateral": "Frontal",
        "AP/PA": study.view,
        **labels,
        "No Finding": 1.0 if nothing else np.nan,
    }


def _truth(study: PhantomStudy, image_format: str) -> dict[str, Any]:
    """Return what is known of a study and no real table tells."""
    return {
        "Path": f"{PREFIX}/{study.place}/view1_frontal.{image_format}",
        **{name: int(present) for name, present in zip(FINDINGS, study.present, strict=True)},
        **{f"extent_{name}": round(extent, 4) for name, extent in zip(FINDINGS, study.extents, strict=True)},
        "marker": int(study.marker),
    }


def _save(image: NDArray[np.uint8], path: Path) -> None:
    encoded = io.BytesIO()
    if path.suffix == ".jpg":
        Image.fromarray(image).save(encoded, "JPEG", **JPEG)
    else:
        Image.fromarray(image).save(encoded, "PNG", compress_level=3)
    with atomic_path(path) as temporary:
        temporary.write_bytes(encoded.getvalue())


def _write_table(path: Path, table: pd.DataFrame) -> None:
    with atomic_path(path) as temporary:
        table.to_csv(temporary, index=False)
