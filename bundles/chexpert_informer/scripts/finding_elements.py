"""The measures of interpretability of findings: a finding of an image is a sample, explained on the network's input."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from scripts.chest_regions import case_regions
from scripts.explained_images import ExplainedImages
from scripts.finding_cases import Case, choose_measured
from scripts.findings import TRUTH
from scripts.heart_ratio import heart_to_chest_ratio
from scripts.original_image import OriginalImage
from shared.data.arrays import read_image
from shared.evaluation.interpretability.physical import physical_rows
from shared.evaluation.resampling_groups import group_records
from shared.saliency.case_selection import WATCHED
from shared.saliency.image_elements import ImageElements
from shared.saliency.image_samples import ImageSamples
from shared.saliency.quality import MapQuality

__all__ = ["FindingElements", "TuningFindings", "finding_samples", "physical_relations"]

Floats = NDArray[np.floating]


def finding_samples(
    images: ExplainedImages,
    cases: Sequence[Case],
    inputs: torch.Tensor,
    originals: Sequence[OriginalImage],
    group_key: str | None = "patient",
) -> ImageSamples:
    """Return cases as the measures take them.

    Args:
        images: that the cases are of.
        cases: N of them.
        inputs: the network's input of each case ``(N, 1, S, S)``.
        originals: image of each case.
        group_key: key of a record whose values are resampled as wholes.
    """
    findings = [finding for _, finding in cases]
    drawn = group_records([images.records[index] for index, _ in cases], group_key)
    return ImageSamples(
        images=inputs,
        targets=torch.tensor(findings),
        labels=[images.classes[finding] for finding in findings],
        groups=drawn.groups,
        names=[f"{images.records[index]['id']}: {images.classes[finding]}" for index, finding in cases],
        resampled=drawn.to_json(),
        **case_regions(originals, findings, images.marker_bit),
    )


@dataclass(frozen=True)
class TuningFindings:
    """Findings of validation images whose place is known, to choose the threshold of the IoU on.

    Args:
        images: validation images.
        device: of the network.
        count: number of findings.
        seed: of the choice.
    """

    images: ExplainedImages
    device: torch.device | str = "cpu"
    count: int = 40
    seed: int = 0

    def __call__(self) -> ImageSamples | None:
        """Return the findings that are present; ``None`` if the place of none is known."""
        labels, known = self.images.labels(), self.images.has_truth()
        present = np.nan_to_num(labels).astype(np.int64)
        cases = choose_measured(labels, present, known, count=self.count, seed=self.seed)
        if not cases:
            return None
        indices = [index for index, _ in cases]
        originals = {index: self.images.original(index) for index in set(indices)}
        inputs = self.images.inputs(indices).to(self.device)
        return finding_samples(self.images, cases, inputs, [originals[index] for index in indices])


@dataclass
class FindingElements:
    """Collects maps while images are explained, and writes the interpretability file of all.

    Args:
        elements: measures the maps.
        group_key: key of a record whose values are resampled as wholes.
    """

    elements: ImageElements
    group_key: str | None = "patient"
    _cases: list[Case] = field(default_factory=list, init=False)
    _inputs: list[torch.Tensor] = field(default_factory=list, init=False)
    _originals: list[OriginalImage] = field(default_factory=list, init=False)
    _maps: dict[str, list[Floats]] = field(default_factory=lambda: defaultdict(list), init=False)

    @property
    def pointing_radius(self) -> float:
        """Tolerance of the pointing game, in pixels of the network's input."""
        return self.elements.pointing_radius

    def add_images(
        self, wanted: Mapping[int, Sequence[int]], indices: Sequence[int], originals: Sequence[OriginalImage]
    ) -> list[tuple[int, int]]:
        """Take up the wanted findings of a batch of images; return their places in the batch and the findings.

        A finding that its image's truth knows nowhere is left out, as it is where the quality is measured.
        """
        chosen = [
            (place, finding)
            for place, (index, original) in enumerate(zip(indices, originals, strict=True))
            for finding in wanted.get(index, [])
            if original.truth is None or original.mask(finding) is not None
        ]
        self._cases += [(indices[place], finding) for place, finding in chosen]
        self._originals += [originals[place] for place, _ in chosen]
        return chosen

    def add_maps(self, name: str, chosen: Sequence[tuple[int, int]], maps: torch.Tensor, inputs: torch.Tensor) -> None:
        """Take up one method's maps ``(B, K, S, S)`` of a batch, whose inputs are ``(B, 1, S, S)``."""
        if not chosen:
            return
        if name == next(iter(self.elements.methods)):
            self._inputs += [inputs[place] for place, _ in chosen]
        self._maps[name] += [maps[place, finding].float().cpu().numpy() for place, finding in chosen]

    def write(self, images: ExplainedImages, table: pd.DataFrame, known: Mapping[str, MapQuality]) -> Path | None:
        """Measure and write; ``None`` if no finding was wanted.

        Args:
            images: all images.
            table: predictions of all images.
            known: by method, measures of the same findings on the images' own grid.
        """
        if not self._cases:
            return None
        samples = finding_samples(images, self._cases, torch.stack(self._inputs), self._originals, self.group_key)
        maps = {name: np.stack(parts) for name, parts in self._maps.items()}
        return self.elements.write(samples, maps, physical_relations(images, table, self.group_key), known)


def physical_relations(
    images: ExplainedImages, table: pd.DataFrame, group_key: str | None = "patient", seed: int = 0
) -> list[dict[str, Any]]:
    """Return how the logits go with what masks say of the chests: the heart's width, and the findings' areas.

    Args:
        images: of which the truth is read where it is known.
        table: their predictions.
        group_key: key of a record whose values are resampled as wholes.
        seed: of the bootstrap.
    """
    records = [record for record in images.records if "truth" in record and not record.get(WATCHED)]
    if not records:
        return physical_rows({}, [], reason="no masks: the data do not say where heart and lungs are")
    logits = table.set_index("id").loc[[str(record["id"]) for record in records]]
    groups = group_records(records, group_key).groups
    bits = [read_image(record["truth"]) for record in records]
    ratio = [heart_to_chest_ratio((truth & TRUTH.value("lungs")) > 0) for truth in bits]
    rows: list[dict[str, Any]] = []
    for finding, name in enumerate(images.classes):
        area = np.array([(truth >> finding & 1).mean() for truth in bits])
        quantities: dict[str, Any] = {f"area of {name.replace('_', ' ')}": np.where(area > 0, area, np.nan)}
        if name == "cardiomegaly":
            quantities = {"heart-to-chest ratio": ratio} | quantities
        rows += physical_rows(quantities, logits[f"logit_{name}"].to_numpy(), None, groups, seed, logit=name)
    return rows
