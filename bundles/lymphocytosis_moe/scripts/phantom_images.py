"""The images of one phantom patient: lymphocytes among red cells and platelets, as a camera sees them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from scripts.phantom_cells import Lymphocytes, sample_lymphocytes
from scripts.phantom_parameters import PhantomParameters
from scripts.phantom_patients import PhantomPatient
from scripts.phantom_rendering import LymphocyteStain, render_lymphocytes
from scripts.phantom_surroundings import render_platelets, render_red_cells
from shared.phantoms.staining import absorbance, transmitted_light

__all__ = ["Alteration", "draw_patient", "draw_smear"]

#: changes properties of cells that were drawn; as many cells, nucleoli and granules as before, or the random draws of
#: what lies around them change too
Alteration = Callable[[Lymphocytes], Lymphocytes]

# images that are drawn at once; more only need more memory
BATCH = 32
# the second number of a seed says what is drawn from it; 0 and 1 are those of phantom_patients
_PATIENT, _SMEAR, _CELL = range(2, 5)


def draw_patient(
    patient: PhantomPatient,
    seed: int = 0,
    smears: int = 1,
    image_size: int = 112,
    parameters: PhantomParameters | None = None,
    alter: Alteration | None = None,
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.int64]]:
    """Draw all images of a patient, smear by smear; see :func:`draw_smear`.

    Args:
        patient: whom to draw.
        seed: of everything.
        smears: number of smears, among which the images are divided evenly.
        image_size: rows and columns of an image, pixels.
        parameters: of the phantoms; the defaults if None.
        alter: applied to the cells once they are drawn at random, before they are rendered.

    Returns:
        Images ``(N, H, W, 3)``, truth bits ``(N, H, W)`` and kinds of the cells ``(N,)``.
    """
    parameters = parameters or PhantomParameters()
    rng = np.random.default_rng([seed, _PATIENT, patient.number])
    spread = parameters.patient
    size, basophilia = np.exp(rng.normal(0, (spread.size, spread.basophilia)))
    sizes = [len(part) for part in np.array_split(np.arange(patient.images), smears)]
    parts = [
        draw_smear(patient, smear, count, seed, float(size), float(basophilia), image_size, parameters, alter)
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
    alter: Alteration | None = None,
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
        alter: see :func:`draw_patient`.

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
        cells = cells if alter is None else alter(cells)
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
