"""How good the explanations of generated patients are: values of cells against abnormal cells, maps against causes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scripts.embedded_bags import TITLES
from shared.evaluation.instance_ranking import instance_ranking
from shared.saliency.quality import MapQuality, summarise_quality

__all__ = ["CellRanking", "MapPool"]


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
