"""What is measured of the values of instances, bag by bag, as rows of the interpretability file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from tqdm.auto import tqdm

from shared.evaluation.interpretability.file import not_measured
from shared.saliency.bags.quality.bag_quality import BagQuality
from shared.saliency.concentration import bag_entropy, bag_gini
from shared.saliency.interpretability_rows import measure_rows
from shared.saliency.quality import MapQuality

__all__ = ["PERTURBATION", "RANKING", "BagMeasures"]

Floats = NDArray[np.float64]

RANKING = ("instance_auc", "instance_ndcg", "instance_ap")
PERTURBATION = ("aupc_drop", "aupc_add", "aopc_r")
NO_TRUTH = "no bag whose instances are known to be some positive and some not"
NO_PERTURBATION = "no positive bag was measured: only there is something to drop"


class BagMeasures:
    """Collects the values of bags, and measures them.

    - sparseness and entropy of the values of every bag;
    - ranking of true instances, and the share of the magnitude on them (the cause), where they are known;
    - perturbation curves of positive bags: a value speaks for the positive class, whose evidence only these hold.

    Args:
        classes: class names in the order of the labels, the positive one last.
        seed: of the bootstrap.

    Attributes:
        not_measured: why there are no perturbation curves, where the network refused them.
    """

    def __init__(self, classes: Sequence[str], seed: int = 0) -> None:
        self.classes = list(classes)
        self.seed = seed
        self.not_measured = ""
        self._values: dict[str, list[Floats]] = {}
        self._truth: list[NDArray[np.bool_] | None] = []
        self._quality: list[BagQuality | None] = []
        self._labels: list[int] = []
        self._groups: list[str] = []
        self._names: list[str | None] = []

    def add(
        self,
        values: Mapping[str, ArrayLike],
        label: int,
        group: str,
        truth: ArrayLike | None = None,
        quality: BagQuality | None = None,
        name: str | None = None,
    ) -> None:
        """Add a bag.

        Args:
            values: of its instances by method, ``(N,)`` each; the same methods for all bags.
            label: class index of the bag.
            group: patient, which the intervals resample whole.
            truth: whether each instance is positive, ``(N,)``; ``None`` if that is not known.
            quality: of the same values, where it could be measured.
            name: of the bag, by which other runs know it too.
        """
        for method, rows in values.items():
            self._values.setdefault(method, []).append(np.asarray(rows, dtype=np.float64))
        self._truth.append(None if truth is None else np.asarray(truth, dtype=bool))
        self._quality.append(quality)
        self._labels.append(label)
        self._groups.append(group)
        self._names.append(name)

    @property
    def methods(self) -> list[str]:
        """Methods whose values were added."""
        return list(self._values)

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows of all methods, measured or with a reason."""
        methods = tqdm(self._values, desc="measuring", unit="method")
        return [entry for name in methods for entry in self._of_method(name)]

    def _of_method(self, name: str) -> list[dict[str, Any]]:
        lengths = [len(values) for values in self._values[name]]
        flat = np.concatenate(self._values[name])
        spread = {"sparseness": bag_gini(flat, lengths), "entropy": bag_entropy(flat, lengths)}
        labels = [self.classes[label] for label in self._labels]
        quality = {measure: _without_chance(values) for measure, values in spread.items()}
        rows = measure_rows(name, quality, labels=labels, groups=self._groups, seed=self.seed)
        return rows + self._ranking(name) + self._perturbation(name)

    def _ranking(self, name: str) -> list[dict[str, Any]]:
        known = [
            index for index, truth in enumerate(self._truth) if truth is not None and truth.any() and not truth.all()
        ]
        if not known:
            return [not_measured(measure, NO_TRUTH, name) for measure in (*RANKING, "cause_share")]
        shares = np.array([_share(self._values[name][index], self._truth[index]) for index in known])
        found: MapQuality = {"cause_share": {"value": shares[:, 0], "chance": shares[:, 1]}}
        rows = measure_rows(name, found, groups=self._groups_of(known), seed=self.seed, ids=self._ids_of(known))
        return rows + self._from_quality(name, RANKING, known, NO_TRUTH, {})

    def _perturbation(self, name: str) -> list[dict[str, Any]]:
        positive = [index for index, label in enumerate(self._labels) if label == len(self.classes) - 1]
        reason = self.not_measured or NO_PERTURBATION
        measured_on = {"measured_on": f"class {self.classes[-1]}"}
        return self._from_quality(name, PERTURBATION, positive, reason, measured_on)

    def _from_quality(
        self, name: str, measures: Sequence[str], bags: Sequence[int], reason: str, parameters: dict[str, Any]
    ) -> list[dict[str, Any]]:
        """Return the rows of measures that the quality of bags holds."""
        parts = [(index, quality) for index in bags if (quality := self._quality[index]) is not None]
        rows = []
        for measure in measures:
            of_bags = [
                (index, quality.values[measure][quality.methods.index(name)], quality.chance[measure])
                for index, quality in parts
                if measure in quality.values
            ]
            of_bags = [entry for entry in of_bags if np.isfinite(entry[1])]
            if not of_bags:
                rows.append(not_measured(measure, reason, name))
                continue
            indices, values, chance = zip(*of_bags, strict=True)
            found: MapQuality = {measure: {"value": np.array(values), "chance": np.array(chance)}}
            rows += measure_rows(
                name,
                found,
                groups=self._groups_of(indices),
                seed=self.seed,
                parameters={measure: parameters} if parameters else None,
                ids=self._ids_of(indices),
            )
        return rows

    def _groups_of(self, indices: Sequence[int]) -> list[str]:
        return [self._groups[index] for index in indices]

    def _ids_of(self, indices: Sequence[int]) -> list[str] | list[int]:
        """Return names, which other runs know too; where a bag has none, places."""
        names = [name for index in indices if (name := self._names[index]) is not None]
        return names if len(names) == len(indices) else list(indices)


def _share(values: Floats, truth: NDArray[np.bool_] | None) -> tuple[float, float]:
    """Return the share of the magnitude on true instances, and their share of all instances; NaN of values of 0."""
    magnitude, positive = np.abs(values), np.asarray(truth, dtype=bool)
    total = float(magnitude.sum())
    if total == 0:
        return np.nan, np.nan
    return float(magnitude[positive].sum()) / total, float(positive.mean())


def _without_chance(values: Floats) -> dict[str, Floats]:
    return {"value": values, "chance": np.full(len(values), np.nan)}
