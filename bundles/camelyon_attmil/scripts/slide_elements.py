"""The elements of interpretability measured on slides, written to ``interpretability.json``."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from scripts.explained_slide import ExplainedSlide
from scripts.feature_file import FeatureBag
from scripts.interventions import Interventions
from scripts.networks import BagClassifier
from scripts.slide_values import SlideValues
from scripts.standardised_input import StandardisedInput
from shared.evaluation.interpretability.file import FILE, row, write_interpretability
from shared.evaluation.interpretability.physical import physical_rows
from shared.evaluation.resampling_groups import whole_groups
from shared.saliency.bags.bag_elements import BAG_MEASURES, BagElements, CheckedBags, unmeasured_rows
from shared.saliency.bags.bag_measures import BagMeasures
from shared.saliency.bags.base import BagAttribution
from shared.saliency.bags.noise_stability import noisy_bags
from shared.saliency.bags.quality.bag_quality import BagQuality
from shared.saliency.case_selection import WATCHED
from shared.saliency.sanity.explained import ExplainedBags
from shared.saliency.transparency.description import describe_methods, describe_model

__all__ = ["SlideElements"]

Record = Mapping[str, Any]
Row = dict[str, Any]
Floats = NDArray[np.float64]

REFUSED = "the method cannot explain this network: {reason}"
NO_OUTLINES = "no slide whose tumour is outlined was measured"
NO_PLACE = "lesions are found on slides whose tumour is outlined, and there are none"


class SlideElements:
    """Collects what is measured of explained slides, and writes it.

    Args:
        network: that is explained.
        valuation: explains bags by it.
        elements: settings of what explains bags again.
        interventions: slides whose metastasis alone grows.
        classes: class names in the order of the labels.
        output_dir: folder of the file.
        seed: of the bootstrap.
        provenance: where weights and data come from.
    """

    def __init__(
        self,
        network: BagClassifier,
        valuation: SlideValues,
        elements: BagElements,
        interventions: Interventions,
        classes: Sequence[str],
        output_dir: str | os.PathLike[str],
        seed: int = 0,
        provenance: Mapping[str, Any] | None = None,
    ) -> None:
        self.network = network
        self.valuation = valuation
        self.elements = elements
        self.interventions = interventions
        self.classes = list(classes)
        self.output_dir = Path(output_dir)
        self.seed = seed
        self.provenance = dict(provenance or {})
        self.measures = BagMeasures(classes, seed)
        self._records: list[Record] = []

    def add(
        self,
        slide: ExplainedSlide,
        label: int,
        values: Mapping[str, Floats],
        positive: NDArray[np.bool_] | None,
        quality: BagQuality | None,
    ) -> None:
        """Add a slide.

        Args:
            slide: that is explained.
            label: its class, or the predicted one where that is not known.
            values: of its tiles by method, ``(N,)`` each.
            positive: which tiles are tumour, ``(N,)``; ``None`` if that is not known.
            quality: of the same values, where it was measured.
        """
        patient = str(slide.record.get("patient", slide.name))
        self.measures.add(values, label, patient, positive, quality, str(slide.record["id"]))
        self._records.append(slide.record)

    def write(
        self,
        records: Sequence[Record],
        outputs: Sequence[float],
        read: Callable[[Record], FeatureBag],
        quality: Mapping[str, Any],
    ) -> Path:
        """Measure what is left and write the file.

        Args:
            records: of all slides.
            outputs: log-odds of tumour of each of them.
            read: returns the tiles of a record.
            quality: what the index says of the quality, for the lesions that maps find.
        """
        methods = {
            name: method for name, method in self.valuation.methods.items() if name not in self.valuation.refused
        }
        chosen = [self._records[place] for place in self.elements.draw(len(self._records))]
        checked = self._checked(methods, [self.valuation.bag(read(record).features) for record in chosen], chosen)
        rows = self.measures.rows() + checked.rows
        rows += self._found_lesions(quality)
        rows += self.interventions.rows(records, list(methods))
        own = [place for place, record in enumerate(records) if not record.get(WATCHED)]
        labels = [records[place].get("label") for place in own]
        rows += physical_rows(
            self._quantities([read(records[place]) for place in own]),
            [outputs[place] for place in own],
            [None if label is None else self.classes[label] for label in labels],
            [str(records[place].get("patient", records[place]["id"])) for place in own],
            self.seed,
            logit=self.classes[-1],
        )
        asked = (*BAG_MEASURES, "froc")
        rows += unmeasured_rows(rows, methods, asked, {"froc": NO_PLACE}, NO_OUTLINES)
        for name, reason in self.valuation.refused.items():
            rows += unmeasured_rows(rows, [name], asked, {}, REFUSED.format(reason=reason))
        return write_interpretability(
            self.output_dir / FILE,
            rows,
            describe_methods(self.valuation.methods, checked.satisfies, checked.failed),
            bundle="camelyon_attmil",
            unit="slide",
            model=describe_model(self.network),
            provenance=self.provenance,
            resampled=whole_groups(
                [str(record.get("patient", record["id"])) for record in self._records], "patient"
            ).to_json(),
        )

    def _checked(
        self, methods: Mapping[str, BagAttribution], bags: Sequence[torch.Tensor], records: Sequence[Record]
    ) -> CheckedBags:
        """Check the methods on some bags, explained again."""
        explained = ExplainedBags(methods, bags)
        elements = self.elements
        noisy = noisy_bags(explained, elements.noise_level, elements.noise_draws, elements.seed)
        others = elements.others(self.network, _standardised)
        groups = [str(record.get("patient", record["id"])) for record in records]
        return elements.check(explained, noisy, others, groups, [str(record["id"]) for record in records])

    def _found_lesions(self, quality: Mapping[str, Any]) -> list[Row]:
        """Return the rows of the lesions that maps find, from what the index has."""
        measured = {name: entries["froc"] for name, entries in quality.get("positive", {}).items() if "froc" in entries}
        return [row("froc", entry, name) for name, entry in measured.items() if name in self.valuation.methods]

    def _quantities(self, bags: Sequence[FeatureBag]) -> dict[str, Floats]:
        """Return what is known of all slides, NaN where it is not: areas in mm²."""
        tissue, tumour = np.full((2, len(bags)), np.nan)
        for place, bag in enumerate(bags):
            attributes, share = bag.attributes, bag.tile_label
            if attributes.mpp is None or attributes.tile_size is None:
                continue
            tile = (attributes.mpp * attributes.tile_size / 1000) ** 2
            tissue[place] = tile * len(bag.coords)
            if share is not None and np.isfinite(share).all():
                tumour[place] = tile * float(share.sum())
        found = {"tissue area (mm²)": tissue, "tumour area (mm²)": tumour}
        return {name: values for name, values in found.items() if np.isfinite(values).any()}


def _standardised(network: torch.nn.Module) -> torch.nn.Module:
    assert isinstance(network, BagClassifier)
    return StandardisedInput(network)
