"""What is written of a patient that is shown: a table of all cells, and pictures and maps of those that count most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scripts.cell_files import CellFiles
from scripts.cell_maps import CellMaps
from scripts.cell_truth import abnormal_cells, cause_mask, cells_with_cause
from scripts.embedded_bags import TITLES
from scripts.patient_values import PatientValues

__all__ = ["ShownPatients"]


class ShownPatients:
    """Writes the files of patients, and says what the index says of them.

    Args:
        files: where to write.
        maps: of single cells.
        shown_method: the one whose maps are written.
        cells: cells with the highest values that are shown of each patient, and as many with the lowest.
        truth_bit: bit of the truth images that marks the cause of a cell's class.

    Raises:
        ValueError: if there is no method of the name that is to be shown.
    """

    def __init__(self, files: CellFiles, maps: CellMaps, shown_method: str, cells: int = 8, truth_bit: int = 8) -> None:
        if shown_method not in maps.methods:
            raise ValueError(f"shown_method {shown_method!r} is none of the methods {', '.join(maps.methods)}")
        self.files = files
        self.maps = maps
        self.shown_method = shown_method
        self.cells = cells
        self.truth_bit = truth_bit

    def write(self, record: Mapping[str, Any], predicted: int, patient: PatientValues) -> dict[str, Any]:
        """Write a patient's files and return the ``bag`` of the index's entry.

        Args:
            record: of the patient: ``id``, ``image`` (paths); ``truth`` and ``instance_label`` where known.
            predicted: class index whose maps are drawn.
            patient: the values of the cells.
        """
        names = [Path(path).name for path in record["image"]]
        table = cell_table(names, patient, abnormal_cells(record))
        chosen = {"highest": table.index[: self.cells], "lowest": table.index[: -self.cells - 1 : -1]}
        # a patient with few cells shows none of them twice
        chosen["lowest"] = chosen["lowest"][: max(len(table) - len(chosen["highest"]), 0)]
        cells = np.concatenate([rows.to_numpy() for rows in chosen.values()])
        drawn = self.maps(self.shown_method, patient.image[cells], predicted)
        entries = {
            cell: self._cell(record, cell, values, table, predicted, patient)
            for cell, values in zip(cells.tolist(), drawn, strict=True)
        }
        return {
            "n": len(names),
            "instances_csv": self.files.write_table(record["id"], table),
            "map_method": self.shown_method,
            "shapley": {
                "of": TITLES[patient.part],
                "exact": patient.whole.standard_errors is None,
                "permutations": patient.whole.permutations,
                "efficiency_gap": patient.whole.efficiency_gap,
                "whole": patient.logit,
                "empty": patient.empty,
            },
            **{side: [entries[cell] for cell in rows.tolist()] for side, rows in chosen.items()},
        }

    def _cell(
        self,
        record: Mapping[str, Any],
        cell: int,
        values: NDArray[np.float64],
        table: pd.DataFrame,
        predicted: int,
        patient: PatientValues,
    ) -> dict[str, Any]:
        """Write one cell and return its entry."""
        row = table.loc[cell]
        picture = patient.image[cell].permute(1, 2, 0).numpy()
        mask = None
        if cell in cells_with_cause(record, predicted):
            mask = cause_mask(record["truth"][cell], self.truth_bit, values.shape)
        maps = {self.shown_method: values}
        written = self.files.write_cell(record["id"], int(row["rank"]), row["instance"], picture, maps, mask)
        error = row.get(f"standard_error_{patient.part}")
        return {
            "id": row["instance"],
            "rank": int(row["rank"]),
            "value": float(row[f"shapley_{patient.part}"]),
            "standard_error": None if error is None else float(error),
            "truth": row.get("truth"),
            "image_png": written["image_png"],
            "outline_png": written["outline_png"],
            **written["methods"][self.shown_method],
        }


def cell_table(names: Sequence[str], patient: PatientValues, abnormal: NDArray[np.bool_] | None) -> pd.DataFrame:
    """Return all cells by falling value; the index is the cell's place in the record.

    Args:
        names: of the images.
        patient: the values.
        abnormal: which cells are, ``(N,)``; ``None`` if that is not known.
    """
    table = pd.DataFrame({"instance": names, **patient.columns()})
    if abnormal is not None:
        table["truth"] = np.where(abnormal, "abnormal", "normal")
    table = table.sort_values(f"shapley_{patient.part}", ascending=False, kind="stable")
    table.insert(0, "rank", np.arange(1, len(table) + 1))
    return table
