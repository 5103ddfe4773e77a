"""Sets of each patient's cells: all, disjoint subsets for the repeatability, fewer and fewer for accuracy by cells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scripts.cell_numbers import random_subsets
from scripts.image_sets import image_sets
from scripts.study.settings import StudySettings

__all__ = ["CellSets", "cell_sets", "in_arrays"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class CellSets:
    """Sets of one patient's cells, as indices.

    Attributes:
        everything: one set of all cells.
        image_sets: S disjoint sets; empty for a patient with fewer cells than that.
        fewer: random sets of each number of cells, ``draws`` of the first size, then of the next.
        origin: how the disjoint sets came about, see :mod:`scripts.image_sets`.
    """

    everything: list[NDArray[np.intp]]
    image_sets: list[NDArray[np.intp]]
    fewer: list[NDArray[np.intp]]
    origin: str

    @property
    def all(self) -> list[NDArray[np.intp]]:
        """All sets, in the order in which :func:`in_arrays` takes their logits."""
        return [*self.everything, *self.image_sets, *self.fewer]


def cell_sets(record: dict[str, Any], patient: int, repeat: int, settings: StudySettings) -> CellSets:
    """Draw the sets of a patient; they depend on patient and repeat only, so that all models see the same ones.

    Args:
        record: of the patient.
        patient: its number in the study.
        repeat: of the cross-validation.
        settings: of the study.
    """
    rng = np.random.default_rng([repeat, patient])
    n = len(record["image"])
    found = image_sets(record, settings.image_sets, rng)
    numbers = settings.cell_numbers
    return CellSets(
        [np.arange(n)],
        [] if found is None else found.members,
        random_subsets(n, numbers["sizes"], numbers["draws"], rng),
        "" if found is None else found.origin,
    )


def in_arrays(logits: list[Floats], sets: list[CellSets], settings: StudySettings) -> dict[str, Floats]:
    """Sort the logits of all sets of P patients into arrays.

    Args:
        logits: of each patient's :attr:`CellSets.all`.
        sets: of each patient.
        settings: of the study.

    Returns:
        ``test_logits`` ``(P,)``; ``image_set_logits`` ``(P, S)``, NaN for patients with fewer cells than sets;
        ``fewer_logits`` ``(P, sizes, draws)``.
    """
    count, numbers = settings.image_sets, settings.cell_numbers
    image_set_logits = np.full((len(sets), count), np.nan)
    for row, of_patient, values in zip(image_set_logits, sets, logits, strict=True):
        row[: len(of_patient.image_sets)] = values[1 : 1 + len(of_patient.image_sets)]
    fewer = [values[1 + len(of_patient.image_sets) :] for of_patient, values in zip(sets, logits, strict=True)]
    return {
        "test_logits": np.array([values[0] for values in logits]),
        "image_set_logits": image_set_logits,
        "fewer_logits": np.stack(fewer).reshape(len(sets), len(numbers["sizes"]), numbers["draws"]),
    }
