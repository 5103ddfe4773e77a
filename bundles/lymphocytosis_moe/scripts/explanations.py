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

from tqdm.auto import tqdm

from scripts.explanation_quality import ExplanationQuality
from scripts.patient_choice import PatientChoice
from scripts.patient_values import PatientValuation
from scripts.shown_patients import ShownPatients
from shared.data.errors import DataError

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
        for index in tqdm(sorted({*shown, *measured}), desc="explaining", unit="patient"):
            record, patient = self.records[index], self.valuation(self.dataset[index])
            if index in shown:
                bag = self.shown.write(record, predicted[index], patient)
                bag |= {"experts": splits[index]} if splits else {}
                samples[index] = self._sample(record, predictions[index], bag)
            if index in measured:
                self.quality.add(index, record, predicted[index], patient)
        experts = [
            {"id": record["id"], "label": self._label(record), **split}
            for record, split in zip(self.records, splits, strict=bool(splits))
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

    def _sample(
        self, record: Mapping[str, Any], prediction: Mapping[str, Any], bag: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Return the entry of a patient in the index."""
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
