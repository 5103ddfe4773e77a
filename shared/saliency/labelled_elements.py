"""The measures of interpretability where each image has one class: what the records say, for the measures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.utils import convert_to_tensor
from numpy.typing import NDArray

from shared.evaluation.interpretability.physical import physical_rows
from shared.evaluation.resampling_groups import group_records
from shared.saliency.base import evaluation_mode
from shared.saliency.case_selection import WATCHED
from shared.saliency.image_elements import ImageElements
from shared.saliency.image_samples import ImageSamples
from shared.saliency.truth_regions import TruthRegions

__all__ = ["LabelledElements", "TuningSamples"]

Record = Mapping[str, Any]


@dataclass(frozen=True)
class TuningSamples:
    """Validation samples whose cause is known and whose class is found, to choose the threshold of the IoU on.

    Args:
        dataset: items with ``image`` ``(C, H, W)``.
        records: of the items, with ``label`` and ``truth`` where known.
        regions: bits of the truth images.
        network: the classifier.
        device: of the network.
        count: number of samples that are looked at.
        seed: of the draw.
    """

    dataset: Sequence[Record]
    records: Sequence[Record]
    regions: TruthRegions
    network: torch.nn.Module
    device: torch.device | str = "cpu"
    count: int = 60
    seed: int = 0

    def __call__(self) -> ImageSamples | None:
        """Return the samples; ``None`` if there are none."""
        known = [place for place, record in enumerate(self.records) if "truth" in record and "label" in record]
        if not known or self.count < 1:
            return None
        drawn = np.random.default_rng(self.seed).permutation(known)[: self.count].tolist()
        images = torch.stack([convert_to_tensor(self.dataset[place]["image"], track_meta=False) for place in drawn])
        images = images.to(self.device)
        with torch.no_grad(), evaluation_mode(self.network):
            predicted = self.network(images).argmax(dim=1).cpu()
        targets = torch.tensor([self.records[place]["label"] for place in drawn])
        right = np.flatnonzero((predicted == targets).numpy())
        if not len(right):
            return None
        chosen = [self.records[drawn[place]] for place in right]
        regions = self.regions.of(chosen, images.shape[2:])
        return ImageSamples(
            images[torch.from_numpy(right)], targets[right], [None] * len(chosen), names=None, resampled=None, **regions
        )


@dataclass(frozen=True)
class LabelledElements:
    """Writes the interpretability file of classes of which each image has one.

    Args:
        elements: measures the maps.
        regions: bits of the truth images.
        quantities: physical measurements that records may hold: name with unit to key.
        group_key: key of a record whose values are resampled as wholes.
    """

    elements: ImageElements
    regions: TruthRegions = field(default_factory=TruthRegions)
    quantities: Mapping[str, str] = field(default_factory=dict)
    group_key: str | None = "donor"

    @property
    def pointing_radius(self) -> float:
        """Tolerance of the pointing game, in pixels of the network's input."""
        return self.elements.pointing_radius

    def write(
        self,
        images: torch.Tensor,
        targets: Sequence[int],
        records: Sequence[Record],
        classes: Sequence[str],
        maps: Mapping[str, NDArray[np.floating]],
        further: Sequence[dict[str, Any]] = (),
    ) -> Path:
        """Measure and write.

        Args:
            images: the network's inputs ``(N, C, H, W)``.
            targets: class that is explained of each.
            records: of the images.
            classes: class names in the order of the logits.
            maps: of each method ``(N, H, W)``.
            further: rows of what is not measured on maps.
        """
        regions = self.regions.of(records, images.shape[2:])
        drawn = group_records(records, self.group_key)
        samples = ImageSamples(
            images=images,
            targets=torch.tensor(list(targets)),
            labels=[None if (label := record.get("label")) is None else classes[label] for record in records],
            groups=drawn.groups,
            names=[f"{record['id']}: {classes[target]}" for record, target in zip(records, targets, strict=True)],
            resampled=drawn.to_json(),
            **regions,
        )
        return self.elements.write(samples, maps, further)

    def physical(
        self, records: Sequence[Record], predictions: Sequence[Record], classes: Sequence[str]
    ) -> list[dict[str, Any]]:
        """Return how the logit of each sample's class goes with what was measured of it.

        Args:
            records: all samples, with ``label`` where known and quantities under their keys.
            predictions: of them, with ``prediction`` and ``logit_<class>``.
            classes: class names in the order of the labels.
        """
        members = [
            place for place, record in enumerate(records) if record.get("kind") is None and not record.get(WATCHED)
        ]
        own = [records[place] for place in members]
        names = [None if (label := record.get("label")) is None else classes[label] for record in own]
        outputs = [
            float(predictions[place][f"logit_{name or predictions[place]['prediction']}"])
            for place, name in zip(members, names, strict=True)
        ]
        measured = {
            name: np.array([np.nan if record.get(key) is None else record[key] for record in own], dtype=np.float64)
            for name, key in self.quantities.items()
        }
        known = {name: values for name, values in measured.items() if np.isfinite(values).any()}
        groups = group_records(own, self.group_key).groups if own else None
        return physical_rows(known, outputs, names, groups, self.elements.seed)
