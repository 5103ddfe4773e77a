"""Explaining patients: whom the gate believed, which cells decided, and what in a cell the network responds to.

What each expert says of every patient comes with the predictions. The cells of the patients that are shown or measured
are encoded once more: their Shapley values are those for the logit of the whole network and for the expert on images
(exact, or sampled with standard errors, see :mod:`scripts.cell_values`). Maps explain the expert on images for one cell
(:class:`~scripts.one_cell.OneCell`). Where the truth is known, both are measured: do the values single out abnormal
cells, and do the maps point at what makes them so?
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from scripts.explanation_quality import ExplanationQuality
from scripts.patient_choice import PatientChoice
from scripts.patient_elements import PatientElements
from scripts.patient_values import PatientValuation
from scripts.shown_patients import ShownPatients
from scripts.similar_patients import patient_picture
from shared.data.errors import DataError
from shared.saliency.case_selection import WATCHED, choose_measured
from shared.saliency.similar_cases import SimilarCases

__all__ = ["BagExplainer", "expert_split"]

#: Columns of the predictions file by what the index calls them.
EXPERT_COLUMNS = {
    "gate": "gate",
    "image": "expert_probability_image",
    "attributes": "expert_probability_attributes",
}


class BagExplainer:
    """Write explanations of chosen patients, and measure them where the truth is known.

    Args:
        valuation: values the cells of a patient, by a network whose weights are loaded before :meth:`run`.
        choice: which patients are shown, and which measured.
        shown: writes the files of a patient.
        quality: measures explanations.
        dataset: items with ``image`` ``(N, 3, H, W)`` uint8 and ``attributes`` ``(2,)``.
        records: the record of each item: ``id``, ``image`` (paths); ``label``, ``truth`` and ``instance_label`` where
            known.
        classes: class names in the order of the labels.
        provenance: where weights and data come from, for the index.
        elements: measures the elements of interpretability; ``None`` leaves that out.
        similar: finds training patients who are like the shown ones; ``None`` leaves that out.

    Raises:
        DataError: if there are no patients.
    """

    def __init__(
        self,
        valuation: PatientValuation,
        choice: PatientChoice,
        shown: ShownPatients,
        quality: ExplanationQuality,
        dataset: Sequence[Mapping[str, Any]],
        records: Sequence[Mapping[str, Any]],
        classes: Sequence[str],
        provenance: Mapping[str, Any] | None = None,
        elements: PatientElements | None = None,
        similar: SimilarCases | None = None,
    ) -> None:
        if not records:
            raise DataError("there are no patients to explain; check dataset_dir and section")
        self.valuation = valuation
        self.choice = choice
        self.shown = shown
        self.quality = quality
        self.dataset = dataset
        self.records = [dict(record) for record in records]
        self.classes = list(classes)
        self.provenance = dict(provenance or {})
        self.elements = elements
        self.similar = similar

    def run(self, predictions: Sequence[Mapping[str, Any]]) -> Path:
        """Explain, measure and write.

        Args:
            predictions: for each record, in the same order, ``id``, ``prediction``, ``confidence``, ``decision`` and
                ``reason``, and of a mixture the columns of :data:`EXPERT_COLUMNS`, as rows of the predictions file
                have them.

        Returns:
            The index, ``explanations/index.json``.

        Raises:
            DataError: if the settings choose no patient, or a truth file is broken.
            ValueError: if the predictions are of other records, or lack what the experts of a mixture say.
        """
        if [row["id"] for row in predictions] != [record["id"] for record in self.records]:
            raise ValueError("the predictions must be those of the records, in their order")
        predicted = [self.classes.index(row["prediction"]) for row in predictions]
        shown, measured = self.choice(self.records, predicted)
        if not shown and not measured:
            raise DataError("no patient is chosen to be explained; raise samples_per_class or measured_samples")
        splits = [expert_split(row) for row in predictions] if self.valuation.parts[-1] == "mixture" else []
        samples: dict[int, dict[str, Any]] = {}
        described = self._described(predicted, measured)
        for index in tqdm(sorted({*shown, *measured, *described}), desc="explaining", unit="patient"):
            record, item = self.records[index], self.dataset[index]
            patient = self.valuation(item)
            if index in shown:
                bag = self.shown.write(record, predicted[index], patient)
                bag |= {"experts": splits[index]} if splits else {}
                samples[index] = self._sample(record, predictions[index], bag)
            if index in measured:
                self.quality.add(index, record, predicted[index], patient)
            if self.elements is not None and index in described:
                self.elements.add(index, record, predicted[index], item, patient)
        self._add_similar(samples)
        if self.elements is not None:
            self.elements.write(self.records, self.dataset, [self._log_odds(row) for row in predictions])
        experts = [
            {"id": record["id"], "label": self._label(record), **split}
            for record, split in zip(self.records, splits, strict=bool(splits))
            if not record.get(WATCHED)
        ]
        if experts:
            self.shown.files.write_experts(experts)
        content = {
            "bag_word": "patient",
            "instance_word": "cell",
            "samples": [samples[index] for index in shown],
            "experts": experts,
            "methods": self.quality.summary(),
            "provenance": self.provenance,
        }
        return self.shown.files.write_index(content)

    def _described(self, predicted: Sequence[int], measured: Sequence[int]) -> list[int]:
        """Return the patients on whom the elements of interpretability are measured.

        Those whose quality is measured; where no truth is known, patients who are predicted correctly, or, where not
        even labels are known, any: measures of values and maps need no more.
        """
        if self.elements is None or measured:
            return list(measured) if self.elements is not None else []
        labels = [record.get("label", guess) for record, guess in zip(self.records, predicted, strict=True)]
        own = [not record.get(WATCHED) for record in self.records]
        count, seed = self.choice.measured_samples, self.choice.seed
        return choose_measured(labels, predicted, own, count=count, seed=seed) or np.flatnonzero(own)[:count].tolist()

    def _add_similar(self, samples: Mapping[int, dict[str, Any]]) -> None:
        """Add the training patients who are most like each shown one."""
        if self.similar is None or not samples:
            return

        def write(sample: int, rank: int, item: Mapping[str, Any]) -> str:
            patient = list(samples.values())[sample]["id"]
            return self.shown.files.write_similar(patient, rank, patient_picture(item))

        found = self.similar.of([self.dataset[index] for index in samples], write)
        for entry, cases in zip(samples.values(), found, strict=True):
            entry["similar"] = cases

    def _log_odds(self, prediction: Mapping[str, Any]) -> float:
        return float(prediction[f"logit_{self.classes[1]}"]) - float(prediction[f"logit_{self.classes[0]}"])

    def _sample(
        self, record: Mapping[str, Any], prediction: Mapping[str, Any], bag: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Return the entry of a patient in the index."""
        return {
            "id": record["id"],
            "label": self._label(record),
            "kind": None,
            **({WATCHED: True} if record.get(WATCHED) else {}),
            "prediction": prediction["prediction"],
            "target": prediction["prediction"],
            "confidence": float(prediction["confidence"]),
            "decision": prediction["decision"],
            "reason": prediction["reason"],
            "methods": {},
            "bag": bag,
        }

    def _label(self, record: Mapping[str, Any]) -> str | None:
        return None if record.get("label") is None else self.classes[record["label"]]


def expert_split(prediction: Mapping[str, Any]) -> dict[str, float]:
    """Return what each expert of a mixture says of a patient, and both together (equation 17); not calibrated.

    Args:
        prediction: a row of the predictions file.

    Returns:
        ``gate``, and the probabilities of tumoral ``image``, ``attributes`` and ``whole``.

    Raises:
        ValueError: if a column is missing.
    """
    if missing := [column for column in EXPERT_COLUMNS.values() if column not in prediction]:
        raise ValueError(f"the predictions of a mixture have no {', '.join(missing)}; pass them on when classifying")
    said = {name: float(prediction[column]) for name, column in EXPERT_COLUMNS.items()}
    return said | {"whole": said["gate"] * said["image"] + (1 - said["gate"]) * said["attributes"]}
