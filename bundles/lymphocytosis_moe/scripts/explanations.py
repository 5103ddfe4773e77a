"""Explaining patients: whom the gate believed, which cells decided, and what in a cell the network responds to.

Each patient's cells are encoded once. The Shapley values of the cells are those for the logit of the whole network
(exact, or sampled with standard errors, see :mod:`scripts.cell_values`) and, exact, for the expert on images. Maps
explain the expert on images for one cell (:class:`~scripts.one_cell.OneCell`). Where the truth is known, both are
measured: do the values single out abnormal cells, and do the maps point at what makes them so?
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.special import expit
from tqdm.auto import tqdm

from scripts.cell_files import CellFiles
from scripts.cell_truth import abnormal_cells, cause_mask, cells_with_cause
from scripts.cell_values import cell_values, image_expert_values
from scripts.embedded_bags import TITLES, BagExperts, attention_weights, embed_cells
from scripts.explanation_quality import CellRanking, MapPool
from scripts.networks import ImageClassifier, TwoExperts
from scripts.one_cell import OneCell
from shared.data.errors import DataError
from shared.mil.shapley.result import ShapleyValues
from shared.saliency.base import Attribution
from shared.saliency.case_selection import choose_cases, choose_measured
from shared.saliency.quality import map_quality
from shared.saliency.titles import method_title

__all__ = ["BagExplainer", "ExplainedPatient"]

TUMORAL = 1


@dataclass(frozen=True)
class ExplainedPatient:
    """One patient whose cells were valued.

    Attributes:
        image: the cells as the network takes them, ``(N, 3, H, W)``, uint8.
        logits: of the parts of the network, and the gate.
        empty: logit of the whole network without any cell.
        whole: Shapley values for the logit of the whole network.
        expert: exact ones for the logit of the expert on images.
        weights: of the cells in attention pooling; ``None`` for any other.
    """

    image: torch.Tensor
    logits: Mapping[str, float]
    empty: float
    whole: ShapleyValues
    expert: ShapleyValues
    weights: NDArray[np.float64] | None


class BagExplainer:
    """Write explanations of chosen patients, and measure them where the truth is known.

    Args:
        network: with an expert on images, its weights loaded before :meth:`run`.
        methods: name to attribution method of :class:`~scripts.one_cell.OneCell`; the names become file names.
        shown_method: the one whose maps are written and shown.
        dataset: items with ``image`` ``(N, 3, H, W)`` uint8 and ``attributes`` ``(2,)``.
        records: the record of each item: ``id``, ``image`` (paths); ``label``, ``truth`` and ``instance_label`` where
            known.
        classes: class names in the order of the labels.
        output_dir: files go to ``explanations`` below it.
        truth_bit: bit of the truth images that marks the cause of a cell's class.
        samples_per_class: correctly predicted patients of each class that are shown.
        wrong_samples: wrongly predicted patients that are shown.
        cells: cells with the highest values that are shown of each patient, and as many with the lowest.
        measured_samples: patients on whom the quality is measured.
        measured_cells: cells of each on which maps are measured, drawn at random.
        standard_error: of the sampled Shapley values, at which sampling stops, in units of the logit.
        max_permutations: permutations at most.
        batch_size: cells that are encoded or explained at once.
        seed: of all draws.
        provenance: where weights and data come from, for the index.

    Raises:
        DataError: if there are no patients.
        ValueError: if there is no method of the name that is to be shown.
    """

    def __init__(
        self,
        network: ImageClassifier | TwoExperts,
        methods: Mapping[str, Attribution],
        shown_method: str,
        dataset: Sequence[Mapping[str, Any]],
        records: Sequence[Mapping[str, Any]],
        classes: Sequence[str],
        output_dir: str | os.PathLike[str],
        truth_bit: int = 8,
        samples_per_class: int = 2,
        wrong_samples: int = 3,
        cells: int = 8,
        measured_samples: int = 60,
        measured_cells: int = 10,
        standard_error: float | None = 0.01,
        max_permutations: int = 10_000,
        batch_size: int = 64,
        seed: int = 0,
        provenance: Mapping[str, Any] | None = None,
    ) -> None:
        if shown_method not in methods:
            raise ValueError(f"shown_method {shown_method!r} is none of the methods {', '.join(methods)}")
        if not records:
            raise DataError("there are no patients to explain; check dataset_dir and section")
        self.network = network
        self.experts = BagExperts(network)
        self.one_cell = OneCell(network)
        self.methods = dict(methods)
        self.shown_method = shown_method
        self.dataset = dataset
        self.records = [dict(record) for record in records]
        self.classes = list(classes)
        self.files = CellFiles(output_dir)
        self.truth_bit = truth_bit
        self.samples_per_class = samples_per_class
        self.wrong_samples = wrong_samples
        self.cells = cells
        self.measured_samples = measured_samples
        self.measured_cells = measured_cells
        self.sampling: dict[str, Any] = {
            "standard_error": standard_error,
            "max_permutations": max_permutations,
            "seed": seed,
        }
        self.batch_size = batch_size
        self.seed = seed
        self.provenance = dict(provenance or {})

    def run(self, predictions: Sequence[Mapping[str, Any]]) -> Path:
        """Explain, measure and write.

        Args:
            predictions: for each record, in the same order, ``id``, ``prediction``, ``confidence``, ``decision`` and
                ``reason``, as rows of the predictions file have them.

        Returns:
            The index, ``explanations/index.json``.

        Raises:
            DataError: if the settings choose no patient, or a truth file is broken.
            ValueError: if the predictions are of other records.
        """
        if [row["id"] for row in predictions] != [record["id"] for record in self.records]:
            raise ValueError("the predictions must be those of the records, in their order")
        predicted = [self.classes.index(row["prediction"]) for row in predictions]
        shown, measured = self._choose(predicted)
        if not shown and not measured:
            raise DataError("no patient is chosen to be explained; raise samples_per_class or measured_samples")
        samples, experts = [], []
        ranking = CellRanking(self.experts.parts)
        maps = MapPool(list(self.methods))
        for index, record in enumerate(tqdm(self.records, desc="explaining", unit="patient")):
            patient = self._explain(index, valued=index in shown or index in measured)
            if "gate" in patient.logits:
                experts.append({"id": record["id"], "label": self._label(record), **self._split(patient)})
            if index in shown:
                samples.append((shown.index(index), self._sample(index, predicted[index], predictions[index], patient)))
            if index in measured:
                ranking.add(self._values(patient), abnormal_cells(record))
                self._measure_maps(maps, index, predicted[index], patient)
        if experts:
            self.files.write_experts(experts)
        content = {
            "bag_word": "patient",
            "instance_word": "cell",
            "samples": [sample for _, sample in sorted(samples, key=lambda pair: pair[0])],
            "experts": experts,
            "methods": {**ranking.summary(self.seed), **self._map_summary(maps)},
            "provenance": self.provenance,
        }
        return self.files.write_index(content)

    def _choose(self, predicted: Sequence[int]) -> tuple[list[int], list[int]]:
        """Return the indices of the patients that are shown, and of those that are measured."""
        labels = [record.get("label") for record in self.records]
        shown = choose_cases(
            labels,
            predicted,
            [None] * len(labels),
            per_class=self.samples_per_class,
            wrong=self.wrong_samples,
            per_kind=0,
            seed=self.seed,
        )
        known = [abnormal_cells(record) is not None for record in self.records]
        return shown, choose_measured(labels, predicted, known, count=self.measured_samples, seed=self.seed)

    @torch.no_grad()
    def _explain(self, index: int, valued: bool) -> ExplainedPatient:
        item = self.dataset[index]
        image, attributes = torch.as_tensor(item["image"]), torch.as_tensor(item["attributes"])
        embeddings = embed_cells(self.network, image, self.batch_size)
        whole_bag = [np.arange(len(embeddings))]
        logits = {
            name: float(rows[0]) for name, rows in self.experts.of_subsets(embeddings, whole_bag, attributes).items()
        }
        none = ShapleyValues(embeddings.new_zeros(0), 0.0)
        empty = self.experts(embeddings.new_zeros(1, embeddings.shape[1]), attributes[None])[self.experts.parts[-1]]
        assert self.experts.image_expert is not None
        return ExplainedPatient(
            image=image,
            logits=logits,
            empty=float(empty),
            whole=cell_values(self.network, embeddings, attributes, **self.sampling) if valued else none,
            expert=image_expert_values(self.experts.image_expert, embeddings) if valued else none,
            weights=attention_weights(self.experts.image_expert, embeddings),
        )

    def _label(self, record: Mapping[str, Any]) -> str | None:
        return None if record.get("label") is None else self.classes[record["label"]]

    def _split(self, patient: ExplainedPatient) -> dict[str, float]:
        """Return the probabilities of the experts and of both together, and the gate."""
        names = {"image": "image", "attributes": "attributes", "whole": self.experts.parts[-1]}
        return {"gate": patient.logits["gate"]} | {
            key: float(expit(patient.logits[part])) for key, part in names.items()
        }

    def _sample(
        self, index: int, predicted: int, prediction: Mapping[str, Any], patient: ExplainedPatient
    ) -> dict[str, Any]:
        """Write a patient's files and return the entry in the index."""
        record = self.records[index]
        names = [Path(path).name for path in record["image"]]
        table = self._table(names, patient, abnormal_cells(record))
        chosen = {"highest": table.index[: self.cells], "lowest": table.index[: -self.cells - 1 : -1]}
        # a patient with few cells shows none of them twice
        chosen["lowest"] = chosen["lowest"][: max(len(table) - len(chosen["highest"]), 0)]
        cells = np.concatenate([rows.to_numpy() for rows in chosen.values()])
        drawn = self._maps(self.shown_method, patient.image[cells], predicted)
        entries = {}
        for cell, values in zip(cells.tolist(), drawn, strict=True):
            rank = int(table.at[cell, "rank"])
            picture = patient.image[cell].permute(1, 2, 0).numpy()
            mask = self._cause(index, cell, predicted, values.shape)
            written = self.files.write_cell(record["id"], rank, names[cell], picture, {self.shown_method: values}, mask)
            entries[cell] = {
                "id": names[cell],
                "rank": rank,
                "value": float(patient.whole.values[cell]),
                "standard_error": None
                if patient.whole.standard_errors is None
                else float(patient.whole.standard_errors[cell]),
                "truth": table.at[cell, "truth"] if "truth" in table else None,
                "image_png": written["image_png"],
                **written["methods"][self.shown_method],
            }
        whole = self.experts.parts[-1]
        return {
            "id": record["id"],
            "label": self._label(record),
            "kind": None,
            "prediction": prediction["prediction"],
            "target": prediction["prediction"],
            "confidence": float(prediction["confidence"]),
            "decision": prediction["decision"],
            "reason": prediction["reason"],
            "methods": {},
            "bag": {
                "n": len(names),
                "instances_csv": self.files.write_table(record["id"], table),
                "map_method": self.shown_method,
                "shapley": {
                    "of": TITLES[whole],
                    "exact": patient.whole.standard_errors is None,
                    "permutations": patient.whole.permutations,
                    "efficiency_gap": patient.whole.efficiency_gap,
                    "whole": patient.logits[whole],
                    "empty": patient.empty,
                },
                **({"experts": self._split(patient)} if "gate" in patient.logits else {}),
                **{side: [entries[cell] for cell in rows.tolist()] for side, rows in chosen.items()},
            },
        }

    def _values(self, patient: ExplainedPatient) -> dict[str, NDArray[np.float64]]:
        """Return what the cells are ranked by, ``(N,)`` each: Shapley values, and weights if there are any."""
        whole = self.experts.parts[-1]
        values = {f"shapley_{whole}": patient.whole.values, "shapley_image": patient.expert.values}
        ranked = {name: rows.cpu().numpy() for name, rows in values.items()}
        return ranked if patient.weights is None else ranked | {"attention_weight": patient.weights}

    def _table(
        self, names: Sequence[str], patient: ExplainedPatient, abnormal: NDArray[np.bool_] | None
    ) -> pd.DataFrame:
        """Return all cells by falling value; the index is the cell's place in the record."""
        whole, expert = self.experts.parts[-1], "image"
        columns: dict[str, Any] = {"instance": names, f"shapley_{whole}": patient.whole.values.cpu().numpy()}
        if patient.whole.standard_errors is not None:
            columns[f"standard_error_{whole}"] = patient.whole.standard_errors.cpu().numpy()
        if whole != expert:
            columns[f"shapley_{expert}"] = patient.expert.values.cpu().numpy()
        if patient.weights is not None:
            columns["attention_weight"] = patient.weights
        if abnormal is not None:
            columns["truth"] = np.where(abnormal, "abnormal", "normal")
        table = pd.DataFrame(columns).sort_values(f"shapley_{whole}", ascending=False, kind="stable")
        table.insert(0, "rank", np.arange(1, len(table) + 1))
        return table

    def _maps(self, method: str, image: torch.Tensor, target: int) -> NDArray[np.float64]:
        """Return maps ``(n, H, W)`` of cells ``(n, 3, H, W)``, the colours added up."""
        device = next(self.network.parameters()).device
        parts = [self.one_cell.centred(part.to(device)) for part in image.split(self.batch_size)]
        return np.concatenate(
            [self.methods[method].attribute(part, target).sum(dim=1).double().cpu().numpy() for part in parts]
        )

    def _cause(self, index: int, cell: int, target: int, shape: Sequence[int]) -> NDArray[np.bool_] | None:
        record = self.records[index]
        if cell not in cells_with_cause(record, target):
            return None
        return cause_mask(record["truth"][cell], self.truth_bit, shape)

    def _measure_maps(self, pool: MapPool, index: int, target: int, patient: ExplainedPatient) -> None:
        """Add the quality of the maps of some cells of a patient."""
        candidates = cells_with_cause(self.records[index], target)
        rng = np.random.default_rng([self.seed, index])
        shape = patient.image.shape[2:]
        masks: dict[int, NDArray[np.bool_]] = {}
        for cell in rng.permutation(candidates).tolist():
            if len(masks) == self.measured_cells:
                break
            mask = cause_mask(self.records[index]["truth"][cell], self.truth_bit, shape)
            if mask is not None:
                masks[cell] = mask
        if not masks:
            return
        truth, image = np.stack(list(masks.values())), patient.image[list(masks)]
        for name, method in self.methods.items():
            pool.add(name, map_quality(self._maps(name, image, target), truth, sign=method.sign), index)

    def _map_summary(self, pool: MapPool) -> dict[str, Any]:
        return {
            name: {
                "title": method_title(name),
                "parameters": {
                    "class": f"{type(method).__module__}.{type(method).__qualname__}",
                    "sign": method.sign,
                    "explains": "expert on images, this cell alone",
                },
                **pool.summary(name, self.seed),
            }
            for name, method in self.methods.items()
        }
