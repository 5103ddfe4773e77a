"""The elements of interpretability measured on patients: values of their cells and maps of single cells."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from scripts.cell_samples import CellSamples
from scripts.cell_truth import abnormal_cells
from scripts.explained_patients import ExplainedPatients, noisy_patients
from scripts.interventions import Interventions
from scripts.patient_values import PatientValues
from scripts.physical_quantities import patient_quantities
from scripts.value_methods import RANDOM, UNTRAINED, ComparedValues, describe_values
from shared.evaluation.interpretability.file import FILE, row, write_interpretability
from shared.evaluation.interpretability.physical import physical_rows
from shared.evaluation.resampling_groups import whole_groups
from shared.saliency.bags.bag_elements import BAG_MEASURES, BagElements, unmeasured_rows
from shared.saliency.bags.bag_measures import BagMeasures
from shared.saliency.bags.quality.bag_quality import ordered_bag_quality
from shared.saliency.case_selection import WATCHED
from shared.saliency.image_elements import ImageElements, MeasuredMaps
from shared.saliency.transparency.completeness import Completeness, relative_error
from shared.saliency.transparency.description import describe_methods, describe_model
from shared.saliency.transparency.oracle import CONTROL, NO_ORACLE
from shared.saliency.transparency.report import NO_CLAIM

__all__ = ["PatientElements"]

Record = Mapping[str, Any]
Row = dict[str, Any]

MAP_MEASURES = ("map_response", "reader_study")
TRANSPARENCY = {"oracle_error": NO_ORACLE, "completeness_error": NO_CLAIM}
NO_TRUTH = "it is not known which cells are abnormal"
WHOLE = "difference of the logit from that without any cell"
#: relative error up to which values are said to add up
TOLERANCE = 0.01
#: why, of generated cells, a share on a region was not measured
NO_REGION = {
    "distractor_share": "nothing is drawn into a cell to mislead",
    "shortcut_share": "the shortcut of generated patients is how many cells they have, and no mark in a cell",
}


class PatientElements:
    """Collects what is measured of explained patients, and writes it to ``interpretability.json``.

    Args:
        values: of cells, by the network that is explained.
        elements: settings of what values cells again.
        cells: draws the cells whose maps are measured.
        maps: measures maps of single cells.
        interventions: patients of whom one thing alone is altered.
        classes: class names in the order of the labels.
        output_dir: folder of the file.
        seed: of the bootstrap.
        provenance: where weights and data come from.
    """

    def __init__(
        self,
        values: ComparedValues,
        elements: BagElements,
        cells: CellSamples,
        maps: ImageElements,
        interventions: Interventions,
        classes: Sequence[str],
        output_dir: str | os.PathLike[str],
        seed: int = 0,
        provenance: Mapping[str, Any] | None = None,
    ) -> None:
        self.values = values
        self.elements = elements
        self.cells = cells
        self.maps = maps
        self.interventions = interventions
        self.classes = list(classes)
        self.output_dir = Path(output_dir)
        self.seed = seed
        self.provenance = dict(provenance or {})
        self.measures = BagMeasures(classes, seed)
        self._places: list[int] = []
        self._targets: list[int] = []
        self._sums: list[tuple[float, ...]] = []

    def add(self, place: int, record: Record, target: int, item: Mapping[str, Any], patient: PatientValues) -> None:
        """Add a patient.

        Args:
            place: of the patient in records and data set.
            record: with ``truth`` and ``instance_label`` where known.
            target: predicted class.
            item: the patient, as the network takes it.
            patient: the values of the cells.
        """
        values = self.values(item, patient)
        abnormal = abnormal_cells(record)
        quality = ordered_bag_quality(
            _OrderedPatient(patient),
            {name: torch.from_numpy(rows) for name, rows in values.items()},
            abnormal,
            device=patient.whole.values.device,
            seed=self.seed,
        )
        name = str(record["id"])
        self.measures.add(values, int(record.get("label", target)), name, abnormal, quality, name)
        games = (patient.whole, patient.expert)
        self._sums.append(tuple(number for game in games for number in (float(game.values.sum()), game.efficiency_gap)))
        self._places.append(place)
        self._targets.append(target)

    def write(self, records: Sequence[Record], dataset: Sequence[Mapping[str, Any]], outputs: Sequence[float]) -> Path:
        """Measure what is left and write the file.

        Args:
            records: of all patients.
            dataset: the patients.
            outputs: log-odds of tumoral of each.
        """
        places = [self._places[number] for number in self.elements.draw(len(self._places))]
        explained = ExplainedPatients(self.values, [dataset[place] for place in places])
        elements = self.elements
        noisy = noisy_patients(explained, elements.noise_level, elements.noise_draws, elements.seed)
        others = elements.others(explained.network)
        patients = [str(records[place]["id"]) for place in places]
        checked = elements.check(explained, noisy, others, patients, patients)
        sums, satisfies = self._completeness()
        rows = self.measures.rows() + checked.rows + sums
        rows += self.interventions.rows(records)
        rows += unmeasured_rows(rows, [RANDOM, UNTRAINED], TRANSPARENCY, dict.fromkeys(TRANSPARENCY, CONTROL), CONTROL)
        rows += unmeasured_rows(rows, self.values.names(), BAG_MEASURES, TRANSPARENCY, NO_TRUTH)
        measured = self._measured_maps(records, dataset)
        rows += [_of_cells(entry) for entry in measured.rows]
        rows += unmeasured_rows(rows, self.maps.methods, MAP_MEASURES, {}, "there was no cell to measure")
        own = [place for place, record in enumerate(records) if not record.get(WATCHED)]
        labels = [records[place].get("label") for place in own]
        rows += physical_rows(
            patient_quantities([records[place] for place in own]),
            [outputs[place] for place in own],
            [None if label is None else self.classes[label] for label in labels],
            seed=self.seed,
            logit=self.classes[-1],
        )
        return write_interpretability(
            self.output_dir / FILE,
            rows,
            describe_values(self.values.valuation, satisfies, checked.failed) | measured.methods,
            bundle="lymphocytosis_moe",
            unit="patient",
            model=describe_model(explained.network),
            provenance=self.provenance,
            resampled=whole_groups([str(records[place]["id"]) for place in self._places], "patient").to_json(),
        )

    def _completeness(self) -> tuple[list[Row], dict[str, list[str]]]:
        """Return how far Shapley values are from adding up to what all cells change in the logit; and in sentences."""
        sums, rows, satisfies = np.array(self._sums), [], {}
        for name, place in {self.values.names()[0]: 0, "shapley_image": 2}.items():
            total, gap = sums[:, place], sums[:, place + 1]
            entry = relative_error(Completeness(total, total + gap, WHOLE), seed=self.seed)
            rows.append(row("completeness_error", entry, name))
            if entry["value"] is not None and entry["value"] <= TOLERANCE:
                satisfies[name] = [
                    f"Adds up to the {WHOLE}: relative error {entry['value']:.1g}, {entry['n']} samples."
                ]
        return rows, satisfies

    def _measured_maps(self, records: Sequence[Record], dataset: Sequence[Mapping[str, Any]]) -> MeasuredMaps:
        """Measure maps of cells of the patients that were added."""
        samples = self.cells(records, dataset, self._places, self._targets)
        if samples is None:
            return MeasuredMaps([], describe_methods(self.maps.methods))
        maps = {name: self.maps.maps(method, samples) for name, method in self.maps.methods.items()}
        return self.maps.measure(samples, maps)


def _of_cells(entry: Row) -> Row:
    """Return a row of maps with the reason that holds for cells."""
    absent = entry["value"] is None and entry["measure"] in NO_REGION
    return entry | {"reason": NO_REGION[entry["measure"]]} if absent else entry


class _OrderedPatient:
    """A patient whose cells are put in one after another.

    It is an :class:`~shared.saliency.bags.quality.perturbation.OrderedBag`.

    Args:
        patient: whose values are logits of tumoral.
    """

    def __init__(self, patient: PatientValues) -> None:
        self.size = len(patient.image)
        self._logits = patient.prefixes

    def prefixes(self, orders: torch.Tensor) -> torch.Tensor:
        """Return the probability of tumoral of the first 0, 1, … N cells of orders ``(P, N)``, ``(P, N + 1)``."""
        return self._logits(orders).sigmoid()
