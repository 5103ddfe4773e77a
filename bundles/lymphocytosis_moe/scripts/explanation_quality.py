"""How good the explanations of generated patients are: values of cells against abnormal cells, maps against causes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scripts.cell_maps import CellMaps
from scripts.cell_truth import abnormal_cells, cause_mask, cells_with_cause
from scripts.embedded_bags import TITLES
from scripts.patient_values import PatientValues
from shared.evaluation.instance_ranking import instance_ranking
from shared.saliency.quality import MapQuality, map_quality, summarise_quality
from shared.saliency.titles import method_title

__all__ = ["CellRanking", "ExplanationQuality", "MapPool"]


class ExplanationQuality:
    """Measures the explanations of patients whose cells are known.

    Args:
        parts: of the network, see :class:`~scripts.embedded_bags.BagExperts`.
        maps: of single cells.
        cells: cells of each patient on which maps are measured, drawn at random.
        truth_bit: bit of the truth images that marks the cause of a cell's class.
        seed: of the draws and of the bootstrap.
        radius: tolerance of the pointing game, pixels.
    """

    def __init__(
        self,
        parts: Sequence[str],
        maps: CellMaps,
        cells: int = 10,
        truth_bit: int = 8,
        seed: int = 0,
        radius: float = 0.0,
    ) -> None:
        self.maps = maps
        self.cells = cells
        self.truth_bit = truth_bit
        self.seed = seed
        self.radius = radius
        self.ranking = CellRanking(parts)
        self.pool = MapPool(list(maps.methods))

    def add(self, index: int, record: Mapping[str, Any], target: int, patient: PatientValues) -> None:
        """Measure one more patient.

        Args:
            index: of the patient, on which alone the draw of the cells depends.
            record: with ``truth`` and ``instance_label``.
            target: class index whose maps are measured.
            patient: the values of the cells.
        """
        columns = {name: rows for name, rows in patient.columns().items() if not name.startswith("standard_error")}
        self.ranking.add(columns, abnormal_cells(record))
        masks = self._causes(index, record, target, patient.image.shape[2:])
        if not masks:
            return
        truth, image = np.stack(list(masks.values())), patient.image[list(masks)]
        for name, method in self.maps.methods.items():
            found = map_quality(self.maps(name, image, target), truth, sign=method.sign, radius=self.radius)
            self.pool.add(name, found, index)

    def summary(self) -> dict[str, Any]:
        """Return the index's methods: what cells were ranked by, and the maps."""
        maps = {
            name: {
                "title": method_title(name),
                "parameters": {
                    "class": f"{type(method).__module__}.{type(method).__qualname__}",
                    "sign": method.sign,
                    "explains": "expert on images, this cell alone",
                },
                **self.pool.summary(name, self.seed),
            }
            for name, method in self.maps.methods.items()
        }
        return {**self.ranking.summary(self.seed), **maps}

    def _causes(
        self, index: int, record: Mapping[str, Any], target: int, shape: Sequence[int]
    ) -> dict[int, NDArray[np.bool_]]:
        """Return by cell where the cause of the class lies, in as many cells as are measured, ``(H, W)`` each."""
        masks: dict[int, NDArray[np.bool_]] = {}
        for cell in np.random.default_rng([self.seed, index]).permutation(cells_with_cause(record, target)).tolist():
            if len(masks) == self.cells:
                break
            mask = cause_mask(record["truth"][cell], self.truth_bit, shape)
            if mask is not None:
                masks[cell] = mask
        return masks


class CellRanking:
    """How well values of cells single out the abnormal ones, patient by patient.

    Args:
        parts: of the network, see :class:`~scripts.embedded_bags.BagExperts`.
    """

    def __init__(self, parts: Sequence[str]) -> None:
        self.titles = {f"shapley_{part}": f"Shapley values, {TITLES[part]}" for part in parts}
        self.found: dict[str, list[MapQuality]] = {}

    def add(self, values: Mapping[str, ArrayLike], abnormal: NDArray[np.bool_] | None) -> None:
        """Add a patient; one whose cells are all of one kind cannot be measured and does not count.

        Args:
            values: by name, of the cells ``(N,)``; higher speaks for abnormal.
            abnormal: which cells are, ``(N,)``; ``None`` if that is not known.
        """
        if abnormal is None or abnormal.all() or not abnormal.any():
            return
        for name, rows in values.items():
            self.found.setdefault(name, []).append(instance_ranking(rows, abnormal, [len(abnormal)]))

    def summary(self, seed: int) -> dict[str, Any]:
        """Return the entries of the index's methods; patients are resampled."""
        return {
            name: {
                "title": self.titles.get(name, "Attention weights"),
                "parameters": {"measured_on": "patients with abnormal and normal cells, predicted correctly"},
                "quality": summarise_quality(_joined(parts), seed=seed),
            }
            for name, parts in self.found.items()
        }


class MapPool:
    """Quality of the maps of cells of several patients, by method.

    Args:
        methods: their names.
    """

    def __init__(self, methods: Sequence[str]) -> None:
        self.found: dict[str, list[MapQuality]] = {name: [] for name in methods}
        self.patients: dict[str, list[int]] = {name: [] for name in methods}

    def add(self, method: str, quality: MapQuality, patient: int) -> None:
        """Add the cells of one patient."""
        self.found[method].append(quality)
        self.patients[method] += [patient] * len(next(iter(quality.values()))["value"])

    def summary(self, method: str, seed: int) -> dict[str, Any]:
        """Return the quality, patients resampled whole; empty if there was nothing to measure."""
        if not self.found[method]:
            return {}
        groups = self.patients[method]
        return {"quality": summarise_quality(_joined(self.found[method]), groups=groups, seed=seed)}


def _joined(parts: Sequence[MapQuality]) -> MapQuality:
    return {
        measure: {key: np.concatenate([part[measure][key] for part in parts]) for key in ("value", "chance")}
        for measure in parts[0]
    }
