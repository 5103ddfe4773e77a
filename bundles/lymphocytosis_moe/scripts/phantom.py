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
from scipy import ndimage
from tqdm import tqdm

from scripts.generated_truth import INSTANCES, TRUTH
from scripts.phantom_cells import ABNORMAL, Lymphocytes, LymphocyteStain, render_lymphocytes, sample_lymphocytes
from scripts.phantom_parameters import PhantomParameters
from scripts.phantom_patients import PhantomPatient, sample_patients
from scripts.phantom_surroundings import render_platelets, render_red_cells
from shared.data.files import atomic_path
from shared.data.processes import in_processes
from shared.phantoms.parameters import Spread
from shared.phantoms.staining import absorbance, transmitted_light

__all__ = ["draw_patient", "draw_smear", "write_smears"]

# images that are drawn at once; more only need more memory
BATCH = 32
JPEG = {"quality": 93, "subsampling": 0}
_PATIENT, _SMEAR, _CELL = range(2, 5)


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


def draw_patient(
    patient: PhantomPatient,
    seed: int = 0,
    smears: int = 1,
    image_size: int = 112,
    parameters: PhantomParameters | None = None,
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.int64]]:
    """Draw all images of a patient, smear by smear; see :func:`draw_smear`.

    Args:
        patient: whom to draw.
        seed: of everything.
        smears: number of smears, among which the images are divided evenly.
        image_size: rows and columns of an image, pixels.
        parameters: of the phantoms; the defaults if None.

    Returns:
        Images ``(N, H, W, 3)``, truth bits ``(N, H, W)`` and kinds of the cells ``(N,)``.
    """
    parameters = parameters or PhantomParameters()
    rng = np.random.default_rng([seed, _PATIENT, patient.number])
    spread = parameters.patient
    size, basophilia = np.exp(rng.normal(0, (spread.size, spread.basophilia)))
    sizes = [len(part) for part in np.array_split(np.arange(patient.images), smears)]
    parts = [
        draw_smear(patient, smear, count, seed, float(size), float(basophilia), image_size, parameters)
        for smear, count in enumerate(sizes)
        if count
    ]
    images, truth, kinds = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return images, truth, kinds


def draw_smear(
    patient: PhantomPatient,
    smear: int,
    count: int,
    seed: int,
    size: float,
    basophilia: float,
    image_size: int,
    parameters: PhantomParameters,
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.int64]]:
    """Draw the images of one smear: one stain, one focus, one density of red cells.

    Args:
        patient: whose smear it is.
        smear: number of the smear.
        count: number of images, N.
        seed: of everything.
        size: the patient's factor on all lengths of lymphocytes.
        basophilia: the patient's factor on the cytoplasmic stain.
        image_size: rows and columns of an image, pixels.
        parameters: of the phantoms.

    Returns:
        Images ``(N, H, W, 3)`` as RGB of 8 bits, truth bits ``(N, H, W)`` as :data:`scripts.phantom_cells.TRUTH` names
        them, and kinds of the cells ``(N,)``, indices in :data:`scripts.phantom_cells.KINDS`.
    """
    rng = np.random.default_rng([seed, _SMEAR, patient.number, smear])
    spread, around = parameters.patient, parameters.surroundings
    stain = np.exp(rng.normal(0, spread.stain)) * np.exp(rng.normal(0, spread.hue, 3))
    pitch, pallor = around.pitch_um.draw(rng), around.pallor.draw(rng)
    radii = around.red_cell_um.draw_many(rng, 64)
    blur = parameters.microscope.blur_um.draw(rng)
    parts = []
    for start in range(0, count, BATCH):
        rng = np.random.default_rng([seed, _CELL, patient.number, smear, start])
        number = min(BATCH, count - start)
        kinds = rng.choice(len(patient.shares), number, p=patient.shares)
        cells = sample_lymphocytes(kinds, rng, parameters, size, basophilia)
        shape = (image_size, image_size)
        lymphocytes = render_lymphocytes(cells, shape, rng, parameters)
        images = _photograph(cells, lymphocytes, stain, pitch, pallor, radii, blur, rng, parameters)
        parts.append((images, lymphocytes.truth, kinds))
    images, truth, kinds = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return images, truth, kinds


def _photograph(
    cells: Lymphocytes,
    lymphocytes: LymphocyteStain,
    stain: NDArray[np.float64],
    pitch: float,
    pallor: float,
    radii: NDArray[np.float64],
    blur: float,
    rng: np.random.Generator,
    parameters: PhantomParameters,
) -> NDArray[np.uint8]:
    """Return the images ``(N, H, W, 3)`` of lymphocytes among red cells and platelets, as the camera sees them."""
    number, *size = lymphocytes.body.shape
    shape = (size[0], size[1])
    microscope, stains = parameters.microscope, parameters.stains
    pixel = microscope.field_um / shape[0]
    free = 1 - lymphocytes.body
    red = render_red_cells(cells.cell_radius, cells.centre, radii, pallor, pitch, shape, pixel, rng)
    platelets = render_platelets(number, parameters.surroundings.platelets, cells.cell_radius, shape, pixel, rng)
    background = np.array(stains.background, np.float32)
    light = transmitted_light(
        background * np.exp(rng.normal(0, 0.008, (number, 1, 1, 1))).astype(np.float32),
        [red * free, lymphocytes.nucleus, lymphocytes.cytoplasm, lymphocytes.granules, platelets * free],
        [
            stain * absorbance(colour, background)
            for colour in (stains.red_cell, stains.nucleus, stains.cytoplasm, stains.granule, stains.platelet)
        ],
    )
    light = ndimage.gaussian_filter(light, (0, blur / pixel, blur / pixel, 0), mode="nearest")
    light += microscope.noise * rng.standard_normal(light.shape, dtype=np.float32)
    return np.clip(np.rint(light), 0, 255).astype(np.uint8)


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
