"""Repeatability: does a patient's diagnosis depend on which cells were photographed, and on how many?

Section 5.1 and table 5 of Sahasrabudhe et al. 2020 (hal-03032875). Every cell is encoded once; sets and smaller numbers
of cells are pooled from what was encoded. The temperature of ``calibration.json`` divides the logit of the whole
network, for which it was fitted; what one expert of two says by itself is not calibrated, as in the predictions file.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.special import expit
from tqdm.auto import tqdm

from scripts.cell_numbers import accuracy_by_cells, random_subsets
from scripts.disagreement import disagreement, fewer_disagreements, majority_vote
from scripts.embedded_bags import TITLES, BagExperts, attention_weights, embed_cells
from scripts.image_sets import RANDOM_SUBSETS, SMEARS, ImageSets, image_sets
from scripts.networks import ImageClassifier, TwoExperts
from shared.calibration.calibration_file import read_calibration
from shared.data.errors import DataError
from shared.data.files import atomic_path, write_json
from shared.evaluation.metrics_file import json_ready
from shared.evaluation.weight_skew import skew_against_size, weight_skew
from shared.training.weights import load_weights

__all__ = ["RepeatabilityStudy"]

NAME = "repeatability"


class RepeatabilityStudy:
    """Diagnose every patient from several sets of images, and from ever more cells.

    Args:
        network: with an expert on images.
        model_file: its weights.
        calibration_file: what was fitted to them.
        dataset: items with ``image`` ``(N, 3, H, W)`` and ``attributes`` ``(2,)``.
        records: the record of each item, with ``id``, ``image`` (paths), ``label``, and ``smear`` where known.
        classes: class names in the order of the labels.
        output_dir: where ``repeatability.json`` and ``repeatability.csv`` go.
        sets: number of sets of each patient.
        cell_numbers: numbers of cells to try, as far as any patient has more; all cells come last by themselves.
        draws: draws of each number.
        resamples: bootstrap resamples of patients.
        batch_size: cells that are encoded at once.
        seed: of sets, draws and bootstrap.
        provenance: where weights and data come from.

    Raises:
        DataError: if no record has a label.
    """

    def __init__(
        self,
        network: ImageClassifier | TwoExperts,
        model_file: str | os.PathLike[str],
        calibration_file: str | os.PathLike[str],
        dataset: Sequence[Mapping[str, Any]],
        records: Sequence[Mapping[str, Any]],
        classes: Sequence[str],
        output_dir: str | os.PathLike[str],
        sets: int = 5,
        cell_numbers: Sequence[int] = (1, 2, 5, 10, 20, 50, 100),
        draws: int = 20,
        resamples: int = 1000,
        batch_size: int = 64,
        seed: int = 0,
        provenance: Mapping[str, Any] | None = None,
    ) -> None:
        self.labelled = [index for index, record in enumerate(records) if record.get("label") is not None]
        if not self.labelled:
            raise DataError(f"none of the {len(records)} patients has a label, which repeatability is measured against")
        self.experts = BagExperts(network)
        if self.experts.image_expert is None:
            raise DataError(f"{type(network).__name__} sees no images: every set gives the same diagnosis")
        self.image_expert = self.experts.image_expert
        self.network = network
        self.model_file = model_file
        self.calibration_file = calibration_file
        self.temperature = 1.0
        self.dataset = dataset
        self.records = [dict(record) for record in records]
        self.classes = list(classes)
        self.output_dir = Path(output_dir)
        self.sets = sets
        most = max(len(records[index]["image"]) for index in self.labelled)
        self.cell_numbers = [number for number in sorted(set(cell_numbers)) if number < most]
        self.draws = draws
        self.bootstrap: dict[str, int] = {"resamples": resamples, "seed": seed}
        self.batch_size = batch_size
        self.seed = seed
        self.provenance = dict(provenance or {})

    def run(self) -> Path:
        """Measure and write ``repeatability.json`` and ``repeatability.csv``; return the first.

        Raises:
            DataError: if no patient has as many images as there are sets, or the weights were not calibrated.
        """
        load_weights(self.network, self.model_file)
        self.temperature = float(read_calibration(self.calibration_file, self.model_file)["temperature"]["value"])
        rows, curves, skews, left_out = [], [], [], []
        for index in tqdm(self.labelled, desc="repeating", unit="patient"):
            record = self.records[index]
            embeddings, attributes = self._embed(index)
            skews.append(attention_weights(self.image_expert, embeddings))
            sets = image_sets(record, self.sets, np.random.default_rng([self.seed, index]))
            curves.append((record["label"], self._by_number(index, embeddings, attributes)))
            if sets is None:
                left_out.append({"id": record["id"], "reason": f"{len(record['image'])} images for {self.sets} sets"})
                continue
            rows.append((record, sets, self._probabilities(embeddings, sets.members, attributes)))
        if not rows:
            raise DataError(f"no patient has {self.sets} images or more; lower 'sets'")
        content = {
            "bag_word": "patient",
            "instance_word": "cell",
            "classes": self.classes,
            "n": len(rows),
            "sets": self.sets,
            "temperature": self.temperature,
            "origin": self._origin([sets for _, sets, _ in rows]),
            "left_out": left_out,
            **self._agreement(rows),
            "cell_numbers": self._curves(curves),
            **self._skew(skews),
            "provenance": self.provenance,
        }
        self._write_table(content["patients"])
        path = self.output_dir / f"{NAME}.json"
        write_json(path, json_ready(content))
        return path

    def _embed(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        item = self.dataset[index]
        embeddings = embed_cells(self.network, torch.as_tensor(item["image"]), self.batch_size)
        return embeddings, torch.as_tensor(item["attributes"])

    def _probabilities(
        self, embeddings: torch.Tensor, subsets: Sequence[NDArray[np.integer]], attributes: torch.Tensor
    ) -> dict[str, NDArray[np.float64]]:
        """Return the probability of tumoral by each part of the network for each subset, ``(S,)``."""
        logits = self.experts.of_subsets(embeddings, subsets, attributes)
        logits[self.experts.parts[-1]] /= self.temperature
        return {part: expit(logits[part]) for part in self.experts.parts}

    def _by_number(
        self, index: int, embeddings: torch.Tensor, attributes: torch.Tensor
    ) -> dict[str, NDArray[np.float64]]:
        """Return probabilities ``(numbers + 1, draws)``: for each number of cells, and for all of them."""
        n = len(embeddings)
        rng = np.random.default_rng([self.seed, index, 1])
        subsets = [*random_subsets(n, self.cell_numbers, self.draws, rng), np.arange(n)]
        found = self._probabilities(embeddings, subsets, attributes)
        shape = (len(self.cell_numbers), self.draws)
        return {
            part: np.vstack([values[:-1].reshape(shape), np.full((1, self.draws), values[-1])])
            for part, values in found.items()
        }

    def _origin(self, sets: Sequence[ImageSets]) -> dict[str, int]:
        counts = Counter(of_patient.origin for of_patient in sets)
        return {origin: counts[origin] for origin in (SMEARS, RANDOM_SUBSETS)}

    def _agreement(self, rows: Sequence[tuple[Mapping[str, Any], ImageSets, Mapping[str, Any]]]) -> dict[str, Any]:
        labels = [record["label"] for record, _, _ in rows]
        tables = {part: np.stack([found[part] for _, _, found in rows]) for part in self.experts.parts}
        votes = {part: majority_vote(table) for part, table in tables.items()}
        patients = [
            {
                "id": record["id"],
                "label": self.classes[record["label"]],
                "origin": sets.origin,
                "sets": sets.names,
                "images": [len(members) for members in sets.members],
                "models": {
                    part: {
                        "probabilities": table[row].tolist(),
                        "predictions": [self.classes[int(value > 0.5)] for value in table[row]],
                        "majority": self.classes[votes[part][row]],
                    }
                    for part, table in tables.items()
                },
            }
            for row, (record, sets, _) in enumerate(rows)
        ]
        measured = {
            part: {
                "title": TITLES[part],
                "calibrated": part == self.experts.parts[-1],
                "measures": disagreement(table, labels, **self.bootstrap),
            }
            for part, table in tables.items()
        }
        content: dict[str, Any] = {"models": measured, "patients": patients}
        whole = self.experts.parts[-1]
        if whole != "image":
            content["compared"] = {
                "model": TITLES[whole],
                "reference": TITLES["image"],
                "difference": fewer_disagreements(tables[whole], tables["image"], labels, **self.bootstrap),
            }
        return content

    def _curves(self, curves: Sequence[tuple[int, Mapping[str, NDArray[np.float64]]]]) -> dict[str, Any]:
        labels = [label for label, _ in curves]
        available = np.array([len(self.records[index]["image"]) for index in self.labelled])
        sizes = [*self.cell_numbers, int(available.max())]
        models = {
            TITLES[part]: accuracy_by_cells(
                np.stack([found[part] for _, found in curves], axis=2), labels, sizes, **self.bootstrap
            )
            for part in self.experts.parts
            # the expert on attributes says the same whatever the cells
            if part != "attributes"
        }
        return {
            "draws": self.draws,
            "cells": sizes,
            "patients_with_as_many": [int((available >= size).sum()) for size in sizes],
            "models": models,
        }

    def _skew(self, skews: Sequence[NDArray[np.float64] | None]) -> dict[str, Any]:
        """Return how attention weights are spread; nothing for a pooling without weights."""
        weights = [rows for rows in skews if rows is not None]
        if not weights:
            return {}
        skew = weight_skew(np.concatenate(weights), [len(rows) for rows in weights])
        bags = skew.assign(id=[self.records[index]["id"] for index in self.labelled])
        return {"attention": {"summary": skew_against_size(skew, **self.bootstrap), "bags": bags.to_dict("records")}}

    def _write_table(self, patients: Sequence[Mapping[str, Any]]) -> None:
        """Write one row for each patient, as table 5: letters of the sets, and the majority, by model."""
        rows = []
        for patient in patients:
            row = {key: patient[key] for key in ("id", "label", "origin")}
            for part, said in patient["models"].items():
                row[f"{part}_sets"] = " ".join(name[0].upper() for name in said["predictions"])
                row[f"{part}_majority"] = said["majority"]
            rows.append(row)
        with atomic_path(self.output_dir / f"{NAME}.csv") as temporary:
            pd.DataFrame(rows).to_csv(temporary, index=False, lineterminator="\n")
