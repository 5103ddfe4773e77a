"""Phantom smears: generated images of lymphocytes of patients whose diagnosis, abnormal cells and regions are known.

The files have the layout of a real data set (``clinical.csv``, ``images/<patient>/``), so that the whole way from
there to a prediction runs on them; only ``truth/`` and ``instances.csv`` are extra. Everything follows from the seed.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from scripts.generated_truth import INSTANCES, TRUTH
from scripts.phantom_cells import ABNORMAL
from scripts.phantom_images import draw_patient
from scripts.phantom_parameters import PhantomParameters
from scripts.phantom_patients import PhantomPatient, sample_patients
from shared.data.files import atomic_path
from shared.data.processes import in_processes
from shared.phantoms.parameters import Spread

__all__ = ["write_smears"]

JPEG = {"quality": 93, "subsampling": 0}


def write_smears(
    folder: str | Path,
    variant: str = "plain",
    seed: int = 0,
    patients: int = 72,
    tumoral_share: float = 0.65,
    bag_size: Spread | Mapping[str, float] = Spread(80, 45, 16, 198),
    smears: int = 1,
    image_size: int = 112,
    image_format: str = "jpg",
    parameters: PhantomParameters | Mapping[str, Any] | None = None,
    workers: int = 1,
    progress: bool = True,
) -> Path:
    """Write phantom smears.

    Args:
        folder: where to write; made if missing.
        variant: ``plain`` or ``shortcut``, see :func:`scripts.phantom_patients.sample_patients`.
        seed: of everything.
        patients: number of patients.
        tumoral_share: share of tumoral patients.
        bag_size: number of images of a patient.
        smears: number of smears of each patient, told apart by the file names ``S1_000000.jpg`` if there are several
            (``smear_pattern`` ``^(?P<smear>S[0-9]+)_``); they differ in stain and focus.
        image_size: rows and columns of an image, pixels.
        image_format: ``jpg`` or ``png``.
        parameters: of the phantoms, or a nested mapping of the values to change.
        workers: number of processes; the files do not depend on it.
        progress: whether to show a progress bar.

    Returns:
        The folder.

    Raises:
        ValueError: if the variant, the format or a parameter's name is unknown.
    """
    if image_format not in ("jpg", "png"):
        raise ValueError(f"image_format must be jpg or png, found '{image_format}'")
    if not isinstance(parameters, PhantomParameters):
        parameters = PhantomParameters.from_config(parameters)
    root = Path(folder)
    drawn = sample_patients(patients, seed, variant, tumoral_share, bag_size, parameters)
    write = partial(
        _write_patient,
        root=root,
        seed=seed,
        smears=smears,
        image_size=image_size,
        image_format=image_format,
        parameters=parameters,
    )
    abnormal: dict[int, list[tuple[str, str, int]]] = {}
    with tqdm(
        total=sum(patient.images for patient in drawn), desc="drawing", unit="image", disable=not progress
    ) as bar:
        for index, rows in in_processes(write, drawn, workers):
            abnormal[index] = rows
            bar.update(len(rows))
    cells = [row for index in range(patients) for row in abnormal[index]]
    _write_table(root / INSTANCES, ("patient", "image", "abnormal"), cells)
    _write_table(
        root / "clinical.csv",
        ("id", "label", "sex", "age_years", "lymphocyte_count_e9_per_l", "n_images"),
        [(p.identity, p.label, p.sex, p.age, p.lymphocyte_count, p.images) for p in drawn],
    )
    return root


def _write_patient(
    patient: PhantomPatient,
    root: Path,
    seed: int,
    smears: int,
    image_size: int,
    image_format: str,
    parameters: PhantomParameters,
) -> list[tuple[str, str, int]]:
    """Draw and write a patient; return for each image the patient, the file's name, and 1 if the cell is abnormal."""
    images, truth, kinds = draw_patient(patient, seed, smears, image_size, parameters)
    rows = []
    for name, image, mask, kind in zip(_names(patient.images, smears), images, truth, kinds, strict=True):
        file = f"{name}.{image_format}"
        _save(image, root / "images" / patient.identity / file)
        _save(mask, root / TRUTH / patient.identity / f"{name}.png")
        rows.append((patient.identity, file, int(kind == ABNORMAL)))
    return rows


def _names(number: int, smears: int) -> list[str]:
    if smears == 1:
        return [f"{index:06d}" for index in range(number)]
    parts = np.array_split(np.arange(number), smears)
    return [f"S{smear}_{index:06d}" for smear, part in enumerate(parts, start=1) for index in part]


def _save(image: NDArray[np.uint8], path: Path) -> None:
    encoded = io.BytesIO()
    if path.suffix == ".jpg":
        Image.fromarray(image).save(encoded, "JPEG", **JPEG)
    else:
        Image.fromarray(image).save(encoded, "PNG", compress_level=3)
    with atomic_path(path) as temporary:
        temporary.write_bytes(encoded.getvalue())


def _write_table(path: Path, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
    with atomic_path(path) as temporary:
        pd.DataFrame(rows, columns=list(columns)).to_csv(temporary, index=False)
