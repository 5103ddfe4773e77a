"""The elements of interpretability measured on patients: values of their cells and maps of single cells."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from scripts.cell_samples import CellSamples
from scripts.cell_truth import abnormal_cells
from scripts.explained_patients import ExplainedPatients, noisy_patients
from scripts.interventions import Interventions
from scripts.patient_values import PatientValuation, PatientValues
from scripts.physical_quantities import patient_quantities
from scripts.value_methods import RANDOM, UNTRAINED, describe_values
from shared.evaluation.interpretability.file import FILE, row, write_interpretability
from shared.evaluation.interpretability.physical import physical_rows
from shared.saliency.bags.bag_elements import BAG_MEASURES, BagElements, unmeasured_rows
from shared.saliency.bags.bag_measures import BagMeasures
from shared.saliency.bags.quality.bag_quality import ordered_bag_quality
from shared.saliency.image_elements import ImageElements, MeasuredMaps
from shared.saliency.sanity.layers import untrained_network
from shared.saliency.transparency.completeness import Completeness, relative_error
from shared.saliency.transparency.description import describe_methods, describe_model
from shared.saliency.transparency.oracle import NO_ORACLE
from shared.saliency.transparency.report import NO_CLAIM

__all__ = ["PatientElements"]

Record = Mapping[str, Any]
Row = dict[str, Any]

MAP_MEASURES = ("map_response", "reader_study")
TRANSPARENCY = {"oracle_error": NO_ORACLE, "completeness_error": NO_CLAIM}
NO_TRUTH = "it is not known which cells are abnormal"
CONTROL = "a control is what the values are compared with: it is not checked itself"


class PatientElements:
    """Collects what is measured of explained patients, and writes it to ``interpretability.json``.

    Args:
        valuation: values cells, by the network that is explained.
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
        valuation: PatientValuation,
        elements: BagElements,
        cells: CellSamples,
        maps: ImageElements,
        interventions: Interventions,
        classes: Sequence[str],
        output_dir: str | os.PathLike[str],
        seed: int = 0,
        provenance: Mapping[str, Any] | None = None,
    ) -> None:
        self.valuation = valuation
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
        self._untrained: PatientValuation | None = None

    def add(self, place: int, record: Record, target: int, item: Mapping[str, Any], patient: PatientValues) -> None:
        """Add a patient.

        Args:
            place: of the patient in records and data set.
            record: with ``truth`` and ``instance_label`` where known.
            target: predicted class.
            item: the patient, as the network takes it.
            patient: the values of the cells.
        """
        columns = patient.columns()
        values = {name: columns[name] for name in self.valuation.names()} | self._controls(place, item)
        abnormal = abnormal_cells(record)
        quality = ordered_bag_quality(
            _OrderedPatient(patient),
            {name: torch.from_numpy(rows) for name, rows in values.items()},
            abnormal,
            device=patient.whole.values.device,
            seed=self.seed,
        )
        self.measures.add(values, int(record.get("label", target)), str(record["id"]), abnormal, quality)
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
        names, controls = self.valuation.names(), [RANDOM, UNTRAINED]
        places = [self._places[number] for number in self.elements.draw(len(self._places))]
        explained = ExplainedPatients(self.valuation, [dataset[place] for place in places])
        elements = self.elements
        noisy = noisy_patients(explained, elements.noise_level, elements.noise_draws, elements.seed)
        others = elements.others(self.valuation.network)
        checked = elements.check(explained, noisy, others, [str(records[place]["id"]) for place in places])
        rows = self.measures.rows() + checked.rows + self._completeness()
        rows += self.interventions.rows(records, names)
        rows += unmeasured_rows(rows, names, BAG_MEASURES, TRANSPARENCY, NO_TRUTH)
        rows += unmeasured_rows(rows, controls, BAG_MEASURES, {}, CONTROL)
        measured = self._measured_maps(records, dataset)
        rows += measured.rows
        rows += unmeasured_rows(rows, self.maps.methods, MAP_MEASURES, {}, "there was no cell to measure")
        rows += physical_rows(
            patient_quantities(records),
            outputs,
            [None if (label := record.get("label")) is None else self.classes[label] for record in records],
            seed=self.seed,
        )
        return write_interpretability(
            self.output_dir / FILE,
            rows,
            describe_values(self.valuation, checked.satisfies, checked.failed) | measured.methods,
            bundle="lymphocytosis_moe",
            unit="patient",
            model=describe_model(self.valuation.network),
            provenance=self.provenance,
        )

    def _controls(self, place: int, item: Mapping[str, Any]) -> dict[str, NDArray[np.float64]]:
        """Return values that know nothing of the patient, or nothing of what was learnt."""
        if self._untrained is None:
            forward = ExplainedPatients(self.valuation, [item]).forward
            network = untrained_network(self.valuation.network, forward, self.seed)
            self._untrained = self.valuation.of(network)  # type: ignore[arg-type]
        noise = np.random.default_rng([self.seed, place]).standard_normal(len(item["image"]))
        return {RANDOM: noise, UNTRAINED: self._untrained(item).whole.values.cpu().numpy()}

    def _completeness(self) -> list[Row]:
        """Return how far the Shapley values are from adding up to what all cells together change in the logit."""
        sums = np.array(self._sums)
        rows = []
        for name, place in {self.valuation.names()[0]: 0, "shapley_image": 2}.items():
            total, gap = sums[:, place], sums[:, place + 1]
            found = Completeness(total, total + gap, "difference of the logit from that without any cell")
            rows.append(row("completeness_error", relative_error(found, seed=self.seed), name))
        return rows

    def _measured_maps(self, records: Sequence[Record], dataset: Sequence[Mapping[str, Any]]) -> MeasuredMaps:
        """Measure maps of cells of the patients that were added."""
        samples = self.cells(records, dataset, self._places, self._targets)
        if samples is None:
            return MeasuredMaps([], describe_methods(self.maps.methods))
        maps = {name: self.maps.maps(method, samples) for name, method in self.maps.methods.items()}
        return self.maps.measure(samples, maps)


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
