"""Phantom patients of whom one thing alone is altered, step by step: all other random draws stay.

In all cells of a patient, what makes them abnormal or granular: their nucleoli, their nuclei, their granules. Or in the
patient, how many of the cells are abnormal.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from scripts.phantom_cells import ABNORMAL, GRANULAR, KINDS, TRUTH, Lymphocytes
from scripts.phantom_images import BATCH, draw_patient
from scripts.phantom_parameters import PhantomParameters
from scripts.phantom_patients import PhantomPatient, sample_patients

__all__ = [
    "CELL_CAUSES",
    "SHARE",
    "SHARES",
    "SHARE_CELLS",
    "AlteredPatient",
    "CellCause",
    "alter_cells",
    "alter_share",
    "drawn_patients",
]

REACTIVE, TUMORAL = range(2)
#: What is altered in a patient as a whole, in words.
SHARE = "share of abnormal cells"
#: Shares of a patient's cells that are abnormal; the other half of the cells always stays as it is.
SHARES = (0.0, 0.125, 0.25, 0.375, 0.5)
#: Cells of such a patient: one more of them at each strength.
SHARE_CELLS = 8


@dataclass(frozen=True)
class CellCause:
    """Something in a cell that speaks for a class.

    Args:
        title: what is altered, in words.
        label: class that it speaks for, the more the stronger it is.
        kind: of the cells that have it, index in :data:`~scripts.phantom_cells.KINDS`.
        region: truth bit of what is altered.
        extent: truth bit of all that changes with it.
        strengths: rising.
        alter: returns cells with it at a strength; as many nucleoli and granules at any.
    """

    title: str
    label: int
    kind: int
    region: str
    extent: str
    strengths: tuple[float, ...]
    alter: Callable[[Lymphocytes, float], Lymphocytes]


def _nucleoli(cells: Lymphocytes, strength: float) -> Lymphocytes:
    return replace(cells, nucleoli=np.maximum(cells.nucleoli, 1), paleness=strength * cells.paleness)


def _nucleus(cells: Lymphocytes, strength: float) -> Lymphocytes:
    # granules are put where there is cytoplasm: none, or those under a growing nucleus would move
    return replace(cells, nucleus_radius=strength * cells.nucleus_radius, granules=np.zeros_like(cells.granules))


def _granules(cells: Lymphocytes, strength: float) -> Lymphocytes:
    return replace(cells, granules=np.maximum(cells.granules, 1), granule_stain=strength * cells.granule_stain)


CELL_CAUSES = (
    CellCause(
        "paleness of the nucleoli", TUMORAL, ABNORMAL, "nucleolus", "nucleus", (0.0, 0.25, 0.5, 0.75, 1.0), _nucleoli
    ),
    # a larger nucleus has a halo in the cytoplasm around it that grows too
    CellCause("radius of the nucleus", TUMORAL, ABNORMAL, "nucleus", "cell", (0.8, 0.9, 1.0, 1.1, 1.2), _nucleus),
    CellCause(
        "stain of the granules", REACTIVE, GRANULAR, "granules", "granules", (0.0, 0.25, 0.5, 0.75, 1.0), _granules
    ),
)


@dataclass(frozen=True)
class AlteredPatient:
    """A patient at S strengths of a cause.

    Attributes:
        images: RGB of 8 bits, ``(S, N, H, W, 3)``.
        cause: where the cause is: pixels ``(S, N, H, W)``, or cells ``(S, N)``.
        extent: where pixels change, but for the microscope's blur: as ``cause``.
        attributes: age in years and lymphocyte count in 10⁹/L, ``(2,)``; the same at all strengths.
    """

    images: NDArray[np.uint8]
    cause: NDArray[np.bool_]
    extent: NDArray[np.bool_]
    attributes: NDArray[np.float32]


def drawn_patients(
    number: int, cells: int, label: int, seed: int, parameters: PhantomParameters | None = None
) -> list[PhantomPatient]:
    """Draw patients of one class.

    Args:
        number: of patients.
        cells: of each of them.
        label: class index.
        seed: of everything.
        parameters: of the phantoms; the defaults if None.

    Raises:
        ValueError: if a patient has more cells than are drawn at once, which alone are independent of each other.
    """
    if not 2 <= cells <= BATCH:
        raise ValueError(f"a patient whose cells are altered has 2 to {BATCH} cells, found {cells}")
    drawn = sample_patients(number, seed, tumoral_share=float(label == TUMORAL), parameters=parameters)
    return [replace(patient, images=cells) for patient in drawn]


def alter_cells(
    patient: PhantomPatient,
    cause: CellCause,
    seed: int,
    image_size: int = 112,
    parameters: PhantomParameters | None = None,
) -> AlteredPatient:
    """Draw a patient all of whose cells have a cause, at each of its strengths.

    Args:
        patient: whom to draw.
        cause: what is altered.
        seed: of everything.
        image_size: rows and columns of an image, pixels.
        parameters: of the phantoms; the defaults if None.
    """
    alike = replace(patient, shares=_only(cause.kind))
    drawn = [
        draw_patient(
            alike,
            seed,
            image_size=image_size,
            parameters=parameters,
            alter=lambda cells, strength=strength: cause.alter(cells, strength),  # type: ignore[misc]
        )
        for strength in cause.strengths
    ]
    truth = np.stack([bits for _, bits, _ in drawn])
    images = np.stack([pictures for pictures, _, _ in drawn])
    where, extent = (TRUTH.decode(truth, name) for name in (cause.region, cause.extent))
    return AlteredPatient(images, where, extent, _attributes(patient))


def alter_share(
    patient: PhantomPatient,
    seed: int,
    image_size: int = 112,
    parameters: PhantomParameters | None = None,
) -> AlteredPatient:
    """Draw a patient more and more of whose cells are abnormal ones in place of ordinary ones, up to half of them.

    All come from one smear, with its stain and focus; a cell that is not replaced is the same image at all strengths.

    Args:
        patient: whom to draw, with :data:`SHARE_CELLS` cells or a multiple of them, or two strengths would be the same.
        seed: of everything.
        image_size: rows and columns of an image, pixels.
        parameters: of the phantoms; the defaults if None.
    """
    ordinary, abnormal = (
        draw_patient(replace(patient, shares=_only(kind)), seed, image_size=image_size, parameters=parameters)[0]
        for kind in (0, ABNORMAL)
    )
    replaced = np.arange(patient.images) < np.round(np.array(SHARES) * patient.images)[:, None]  # (S, N)
    images = np.where(replaced[..., None, None, None], abnormal, ordinary)
    return AlteredPatient(images, replaced, replaced, _attributes(patient))


def _only(kind: int) -> tuple[float, float, float]:
    first, second, third = (float(index == kind) for index in range(len(KINDS)))
    return first, second, third


def _attributes(patient: PhantomPatient) -> NDArray[np.float32]:
    return np.array([patient.age, patient.lymphocyte_count], dtype=np.float32)
