"""What was measured of patients besides their images, and of generated ones also what their cells are like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scripts.cell_truth import abnormal_cells, region_mask
from scripts.phantom_cells import TRUTH
from scripts.phantom_parameters import PhantomParameters
from shared.data.generated import generated_parameters

__all__ = ["patient_quantities"]

Record = Mapping[str, Any]
Floats = NDArray[np.float64]

#: of the records, by name with the unit
MEASURED = {"lymphocyte count (10⁹/L)": "lymphocyte_count", "age (years)": "age"}
#: of the cells of generated patients, by name with the unit
REGIONS = {"mean area of the cells (µm²)": "cell", "mean area of the nuclei (µm²)": "nucleus"}
#: cells of a patient whose area is measured
CELLS = 10


def patient_quantities(records: Sequence[Record], cells: int = CELLS) -> dict[str, Floats]:
    """Return physical quantities of patients, ``(B,)`` each by name, NaN where one is not known.

    Age and lymphocyte count of all patients; of generated ones also the share of abnormal cells, and the mean area of
    cells and nuclei.

    Args:
        records: of the patients.
        cells: first cells of each patient whose area is measured.
    """
    found = {name: np.array([_number(record.get(key)) for record in records]) for name, key in MEASURED.items()}
    found["share of abnormal cells"] = np.array([_abnormal_share(record) for record in records])
    for name, region in REGIONS.items():
        found[name] = np.array([_mean_area(record, TRUTH.value(region), cells) for record in records])
    return {name: values for name, values in found.items() if np.isfinite(values).any()}


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else np.nan


def _abnormal_share(record: Record) -> float:
    abnormal = abnormal_cells(record)
    return np.nan if abnormal is None else float(abnormal.mean())


def _mean_area(record: Record, bit: int, cells: int) -> float:
    """Return the mean area of a region of a patient's cells, µm²; NaN if the patient was not generated."""
    generated = generated_parameters(record["truth"][0]) if "truth" in record else None
    if generated is None:
        return np.nan
    field = PhantomParameters.from_config(generated["parameters"]).microscope.field_um
    return float(np.mean([region_mask(path, bit).mean() for path in record["truth"][:cells]])) * field**2
