"""Explaining: a map of each finding of chosen images by every method, as files on the image's own grid, measured."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from tqdm.auto import tqdm

from scripts.explained_images import ExplainedImages
from scripts.finding_cases import Case
from scripts.finding_elements import FindingElements
from scripts.finding_plan import FindingChoice, FindingPlan
from scripts.finding_quality import FindingQuality
from scripts.original_image import OriginalImage
from shared.data.errors import DataError
from shared.saliency.base import Attribution
from shared.saliency.case_selection import WATCHED
from shared.saliency.explanation_files import ExplanationFiles
from shared.saliency.similar_cases import SimilarCases
from shared.saliency.titles import method_title
from shared.saliency.transparency.description import plain_parameters

__all__ = ["FindingExplainer"]


class FindingExplainer:
    """Write maps of chosen findings by every method, and measure them.

    A case is one finding of one image. Of each that is shown, every method's map becomes a signed NIfTI file on the
    grid of the image as it was read (before any resizing) and a PNG overlay. Of flagged cases the maps of all findings
    are drawn too, by the method whose distances the alarm looks at. Where masks of the findings are known, the maps of
    findings that are present and found are compared with them: see :class:`scripts.finding_quality.FindingQuality`.
    The same findings, or where no masks are known findings that are predicted and not denied, are described by the
    elements of interpretability. Boxes that a person drew around a finding are drawn over its maps; they are too few
    and too coarse to measure by.

    Args:
        methods: name to attribution method; the names become file names.
        images: what can be explained.
        device: device of the network.
        output_dir: files go to ``explanations`` below it.
        compared_method: method whose maps of all findings are written, of flagged cases as pictures beside each
            other; one of ``methods``.
        samples_per_finding: images in the gallery in which a finding is predicted and present.
        wrong_samples: wrong predictions in the gallery.
        flagged_samples: flagged predictions in the gallery.
        boxed_samples: findings in the gallery that a person drew a box around.
        measured_samples: findings to measure the quality on.
        group_key: key of a record whose values are resampled as wholes.
        batch_size: images explained at once.
        seed: seed of the choice.
        provenance: where weights and data come from, for the index.
        elements: measures the elements of interpretability; ``None`` to leave that out.
        similar: finds the training images that are most like each image of the gallery; ``None`` to leave that out.

    Raises:
        DataError: if there are no images, or ``compared_method`` is none of the methods.
    """

    def __init__(
        self,
        methods: Mapping[str, Attribution],
        images: ExplainedImages,
        device: torch.device | str,
        output_dir: str | os.PathLike[str],
        compared_method: str,
        samples_per_finding: int = 2,
        wrong_samples: int = 3,
        flagged_samples: int = 4,
        boxed_samples: int = 4,
        measured_samples: int = 100,
        group_key: str | None = "patient",
        batch_size: int = 8,
        seed: int = 0,
        provenance: Mapping[str, Any] | None = None,
        elements: FindingElements | None = None,
        similar: SimilarCases | None = None,
    ) -> None:
        if not images.records:
            raise DataError("there are no images to explain; check dataset_dir and section")
        if compared_method not in methods:
            raise DataError(f"compared_method is {compared_method!r}, expected one of {', '.join(methods)}")
        self.methods = dict(methods)
        self.images = images
        self.device = torch.device(device)
        self.files = ExplanationFiles(output_dir, image_label="grey value")
        self.compared_method = compared_method
        self.choice = FindingChoice(
            per_finding=samples_per_finding,
            wrong=wrong_samples,
            flagged=flagged_samples,
            boxed=boxed_samples,
            measured=measured_samples,
            seed=seed,
        )
        self.group_key = group_key
        self.batch_size = batch_size
        self.seed = seed
        self.provenance = dict(provenance or {})
        self.elements = elements
        self.similar = similar

    def run(self, table: pd.DataFrame) -> Path:
        """Explain, measure and write.

        Args:
            table: the predictions of the images, in their order, as the predictions file has them.

        Returns:
            The index, ``explanations/index.json``.

        Raises:
            DataError: if the settings choose no finding, or a truth image is broken.
            ValueError: if the predictions are of other images.
        """
        if table["id"].tolist() != [str(record["id"]) for record in self.images.records]:
            raise ValueError("the predictions must be those of the images, in their order")
        plan = self.choice(self.images, table)
        if self.elements is None:
            plan.described.clear()
        if not plan.images:
            raise DataError("no finding is chosen to be explained; raise samples_per_finding or measured_samples")
        entries: dict[Case, dict[str, Any]] = {}
        flagged: dict[Case, dict[str, Any]] = {}
        quality = {
            name: FindingQuality(self.images.classes, method.sign, self.images.marker_bit, self._tolerance())
            for name, method in self.methods.items()
        }
        batches = range(0, len(plan.images), self.batch_size)
        for start in tqdm(batches, desc="explaining", unit="batch"):
            chosen = plan.images[start : start + self.batch_size]
            originals = [self.images.original(index) for index in chosen]
            self._begin(table, plan, chosen, originals, entries, flagged)
            inputs = self.images.inputs(chosen).to(self.device)
            cases = [] if self.elements is None else self.elements.add_images(plan.described, chosen, originals)
            self._add_similar(chosen, inputs, entries)
            for name, method in self.methods.items():
                # one forward pass for the maps of all findings, wherever the method allows it
                maps = method.attribute_classes(inputs).maps.sum(dim=2)  # (B, K, S, S)
                if self.elements is not None:
                    self.elements.add_maps(name, cases, maps, inputs)
                for index, original, own in zip(chosen, originals, maps, strict=True):
                    restored = original.restore(own)  # (K, H, W)
                    self._write(name, index, original, restored, plan, entries, flagged)
                    record = self.images.records[index]
                    quality[name].add(record, original, restored, plan.measured.get(index, []))
        if self.elements is not None:
            self.elements.write(self.images, table, {name: part.per_case() for name, part in quality.items()})
        content = {
            # what was watched while the network trained comes first
            "samples": sorted(entries.values(), key=lambda entry: WATCHED not in entry),
            "flagged": list(flagged.values()),
            "methods": {
                name: {"title": method_title(name), "parameters": plain_parameters(self.methods[name])}
                | quality[name].summary(self.group_key, self.seed)
                for name in self.methods
            },
            "provenance": self.provenance,
        }
        drawn = next(iter(quality.values())).drawn(self.group_key)
        return self.files.write_index(content | ({} if drawn is None else {"resampled": drawn.to_json()}))

    def _add_similar(self, chosen: Sequence[int], inputs: torch.Tensor, entries: dict[Case, dict[str, Any]]) -> None:
        """Add to the entries of a batch the training images that are most like their images."""
        if self.similar is None:
            return
        places = {index: place for place, index in enumerate(chosen)}
        own = [(entry, inputs[places[index]]) for (index, _), entry in entries.items() if index in places]
        found = self.similar.of(
            [{"image": image} for _, image in own],
            lambda sample, rank, item: self.files.write_similar(own[sample][0], rank, np.asarray(item["image"])),
        )
        for (entry, _), cases in zip(own, found, strict=True):
            entry["similar"] = cases

    def _begin(
        self,
        table: pd.DataFrame,
        plan: FindingPlan,
        chosen: Sequence[int],
        originals: Sequence[OriginalImage],
        entries: dict[Case, dict[str, Any]],
        flagged: dict[Case, dict[str, Any]],
    ) -> None:
        """Begin the entries of the index for a batch of images, and write these."""
        for index, original in zip(chosen, originals, strict=True):
            for finding in plan.shown.get(index, []):
                entry = self._entry(index, finding, table.iloc[index])
                if original.pixel_size_mm is not None:
                    entry["pixel_size_mm"] = list(original.pixel_size_mm)
                known = self._known(index, finding, original)
                entry["image_png"] = self.files.write_image(entry, original.grey, **known)
                entry["view"] = self.files.write_view(entry, original.grey, **known)
                entries[index, finding] = entry
                if plan.compared.get(index) == finding:
                    flagged[index, finding] = {
                        key: entry[key]
                        for key in ("id", "label", "prediction", "target", "reason", "image_png", "view")
                    } | {"method": self.compared_method, "maps": {}, "layers": {}}

    def _entry(self, index: int, finding: int, row: pd.Series) -> dict[str, Any]:
        """Return the beginning of a case's entry in the index."""
        record, name = self.images.records[index], self.images.classes[finding]
        label = (record.get("label") or [None] * len(self.images.classes))[finding]
        return {
            "id": str(record["id"]),
            "folder": f"{record['id']} {name}",
            "label": None if label is None else _named(name, label),
            "kind": None,
            "prediction": _named(name, row[f"prediction_{name}"]),
            "target": name,
            "confidence": float(row[f"confidence_{name}"]),
            "decision": row[f"decision_{name}"],
            "reason": row[f"reason_{name}"],
            **({WATCHED: True} if record.get(WATCHED) else {}),
            "methods": {},
        }

    def _tolerance(self) -> float:
        """Return the tolerance of the pointing game, the one of the elements, as a share of an image's side."""
        return 0.0 if self.elements is None else self.elements.pointing_radius / self.images.image_size

    def _known(self, index: int, finding: int, original: OriginalImage) -> dict[str, Any]:
        """Return what is known of a finding's place, for its pictures: ``mask`` and ``boxes``."""
        return {
            "mask": original.mask(finding),
            "boxes": self.images.boxes(index, finding, original.grey.shape),
        }

    def _write(
        self,
        method: str,
        index: int,
        original: OriginalImage,
        maps: NDArray[np.float32],
        plan: FindingPlan,
        entries: dict[Case, dict[str, Any]],
        flagged: dict[Case, dict[str, Any]],
    ) -> None:
        """Write one method's maps of one image's cases."""
        for finding in plan.shown.get(index, []):
            entry, known = entries[index, finding], self._known(index, finding, original)
            files = self.files.write_map(entry, method, original.grey, maps[finding], **known)
            sign = self.methods[method].sign
            measured = (
                FindingQuality.of_case(maps[finding], known["mask"], sign, self._tolerance())
                if entry["label"] == entry["target"]
                else {}
            )
            entry["methods"][method] = {**files, "quality": measured}
            if method == self.compared_method:
                by_finding = dict(zip(self.images.classes, maps, strict=True))
                entry["methods"][method]["classes"] = self.files.write_classes(entry, method, by_finding)
        if method != self.compared_method or index not in plan.compared:
            return
        first = plan.compared[index]
        case = flagged[index, first]
        order = [first, *(k for k in range(len(self.images.classes)) if k != first)]
        for finding in order:
            name = self.images.classes[finding]
            entry = {**entries[index, first], "target": name}
            known = self._known(index, finding, original)
            written = self.files.write_map(
                entry, method, original.grey, maps[finding], **known, file=f"{method}_{name}"
            )
            case["maps"][name] = written["overlay_png"]
            case["layers"][name] = {key: written[key] for key in ("layer_png", "limit")}


def _named(finding: str, present: int) -> str:
    return finding if int(present) == 1 else f"no {finding}"
