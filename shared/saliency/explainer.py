"""Explaining: maps of chosen samples by several methods, as files, with their quality where the truth is known."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.utils import convert_to_tensor
from numpy.typing import NDArray
from tqdm.auto import tqdm

from shared.data.errors import DataError
from shared.evaluation.resampling_groups import ResamplingGroups, group_records
from shared.saliency.base import Attribution
from shared.saliency.batched_maps import batched_class_maps, batched_maps
from shared.saliency.explanation_files import ExplanationFiles
from shared.saliency.image_choice import ChosenImages, ImageChoice
from shared.saliency.image_gallery import ImageGallery, ShownImage
from shared.saliency.integrated_gradients import IntegratedGradients
from shared.saliency.labelled_elements import LabelledElements
from shared.saliency.lime import LIME
from shared.saliency.method_summary import completeness_summary, mean_quality, stability_summary
from shared.saliency.similar_cases import SimilarCases
from shared.saliency.titles import method_title
from shared.saliency.transparency.description import plain_parameters
from shared.saliency.truth_regions import read_cause

__all__ = ["Explainer"]

Maps = Mapping[int, NDArray[np.floating]]
Masks = Mapping[int, NDArray[np.bool_]]


class Explainer:
    """Write maps of chosen samples by every method, and measure them.

    For a gallery (those that were watched while the network trained, some samples of each class, wrong ones, outliers)
    each map becomes a signed NIfTI file on the grid of
    the image and a PNG overlay. The quality is measured on more samples than are shown: correctly predicted ones whose
    cause is known. The class that is explained is the predicted one unless ``target_class`` names another; then only
    samples of that class are measured, because the cause of one class is not where another should be found.

    What is measured along the elements of interpretability, on the same samples, goes to ``interpretability.json``;
    where no cause is known, what needs none is measured on correctly predicted samples.

    Args:
        methods: name to attribution method; the names become file names.
        dataset: the images: items with ``image`` ``(1, H, W)``, the network's input.
        records: the record of each item: ``id``; ``label`` (class index), ``kind`` and ``truth`` (bit-coded mask image,
            a NumPy file) where known.
        classes: class names in the order of the logits.
        device: device of the network.
        output_dir: files go to ``explanations`` below it.
        truth_bit: bit of the truth image that marks the cause of the class.
        target_class: class to explain in every image; ``None`` for the predicted one.
        samples_per_class: correctly predicted samples of each class in the gallery.
        wrong_samples: wrongly predicted samples in the gallery.
        samples_per_kind: samples of each outlier kind in the gallery.
        measured_samples: number of samples to measure the quality on.
        group_key: key of a record that says which samples belong together (donor, patient): the intervals of the
            quality resample whole groups. Where measured records do not have it, single samples are resampled, and the
            index says so.
        batch_size: images explained at once.
        stability_seeds: seeds over which the stability of LIME is measured.
        pixel_size_um: size of a pixel in µm, for scale bars and NIfTI headers; ``None`` if unknown.
        image_label: what a grey value is, with its unit.
        image_range: value of the unnormalised image at 0 and at 1 of the network's input, for display.
        seed: seed of the choice of samples.
        provenance: where weights and data come from, for the index.
        elements: measures the elements of interpretability; ``None`` to leave that out.
        similar: finds the training cases that are most like each sample of the gallery; ``None`` to leave that out.
        class_methods: methods whose maps of all classes are written, for a viewer that switches between them.

    Raises:
        DataError: if there are no samples, the target class or one of ``class_methods`` is unknown, or, in ``run``, a
            truth file is broken.
        ValueError: if there is no method, a name of one cannot name a file, or records and data set differ in length.
    """

    def __init__(
        self,
        methods: Mapping[str, Attribution],
        dataset: Sequence[Mapping[str, Any]],
        records: Sequence[Mapping[str, Any]],
        classes: Sequence[str],
        device: torch.device | str,
        output_dir: str | os.PathLike[str],
        truth_bit: int | None = None,
        target_class: str | None = None,
        samples_per_class: int = 2,
        wrong_samples: int = 3,
        samples_per_kind: int = 1,
        measured_samples: int = 100,
        group_key: str | None = "donor",
        batch_size: int = 64,
        stability_seeds: Sequence[int] = (0, 1, 2, 3, 4),
        pixel_size_um: float | None = None,
        image_label: str = "grey value",
        image_range: Sequence[float] = (0.0, 1.0),
        seed: int = 0,
        provenance: Mapping[str, Any] | None = None,
        elements: LabelledElements | None = None,
        similar: SimilarCases | None = None,
        class_methods: Sequence[str] = (),
    ) -> None:
        if not methods:
            raise ValueError("name at least one attribution method")
        if wrong := [name for name in methods if not re.fullmatch(r"[A-Za-z0-9_-]+", name) or name == "image"]:
            raise ValueError(f"methods must be named by letters, digits, _ and -, and not image; found {wrong[0]!r}")
        if unknown := [name for name in class_methods if name not in methods]:
            raise DataError(f"class_methods: {unknown[0]!r} is none of the methods {', '.join(methods)}")
        if not records:
            raise DataError("there are no samples to explain; check dataset_dir and section")
        if len(records) != len(dataset):
            raise ValueError(f"found {len(records)} records for {len(dataset)} images")
        if target_class is not None and target_class not in classes:
            raise DataError(f"target_class {target_class!r} is none of the classes {', '.join(classes)}")
        self.methods = dict(methods)
        self.class_methods = tuple(class_methods)
        self.dataset = dataset
        self.records = [dict(record) for record in records]
        self.classes = list(classes)
        self.device = torch.device(device)
        self.files = ExplanationFiles(output_dir, pixel_size_um, image_label, image_range)
        self.truth_bit = truth_bit
        self.target = None if target_class is None else self.classes.index(target_class)
        self.choice = ImageChoice(samples_per_class, wrong_samples, samples_per_kind, measured_samples, seed)
        self.group_key = group_key
        self.batch_size = batch_size
        self.stability_seeds = tuple(stability_seeds)
        self.seed = seed
        self.provenance = dict(provenance or {})
        self.elements = elements
        self.similar = similar

    def run(self, predictions: Sequence[Mapping[str, Any]]) -> Path:
        """Explain, measure and write.

        Args:
            predictions: for each record, in the same order, ``id``, ``prediction`` (class name), ``confidence`` in
                [0, 1], ``decision`` and ``reason``, as rows of the predictions file have them.

        Returns:
            The index, ``explanations/index.json``.

        Raises:
            DataError: if a truth file is broken, or the settings choose no sample.
            ValueError: if the predictions are of other records.
        """
        if [row["id"] for row in predictions] != [record["id"] for record in self.records]:
            raise ValueError("the predictions must be those of the records, in their order")
        predicted = [self.classes.index(row["prediction"]) for row in predictions]
        targets = predicted if self.target is None else [self.target] * len(predicted)
        measurable = self._measurable(predicted, targets)
        chosen = self.choice(self.records, predicted, measurable, describe=self.elements is not None)
        if not chosen.samples:
            raise DataError("no sample is chosen to be explained; raise samples_per_class or measured_samples")
        images = self._images(chosen.samples)
        explained = torch.tensor([targets[index] for index in chosen.samples])
        causes = {index: read_cause(self.records[index], self.truth_bit, images.shape[2:]) for index in chosen.samples}
        masks = {index: cause for index, cause in causes.items() if cause is not None}

        rows = chosen.places(chosen.shown)
        pictures = images[rows, 0].cpu().numpy()
        shown = [
            ShownImage(self.records[i], predictions[i], targets[i], picture, causes[i], measurable[i])
            for i, picture in zip(chosen.shown, pictures, strict=True)
        ]
        gallery = ImageGallery(self.files, self.classes, shown)
        gallery.write_images()
        if self.similar is not None and chosen.shown:
            gallery.write_similar(self.similar, [self.dataset[index] for index in chosen.shown])

        summaries: dict[str, Any] = {}
        described_maps: dict[str, NDArray[np.floating]] = {}
        for name, method in tqdm(self.methods.items(), desc="explaining", unit="method"):
            maps = dict(zip(chosen.samples, batched_maps(method, images, explained, self.batch_size), strict=True))
            summaries[name] = self._summary(name, method, chosen, images, explained, maps, masks)
            gallery.write_maps(name, [maps[index] for index in chosen.shown], method.sign, self._radius)
            if name in self.class_methods and rows:
                gallery.write_classes(name, batched_class_maps(method, images[rows], self.batch_size))
            if chosen.described:
                described_maps[name] = np.stack([maps[index] for index in chosen.described])
        if self.elements is not None and chosen.described:
            self.elements.write(
                images[chosen.places(chosen.described)],
                [targets[index] for index in chosen.described],
                [self.records[index] for index in chosen.described],
                self.classes,
                described_maps,
                self.elements.physical(self.records, predictions, self.classes),
            )
        content: dict[str, Any] = {"samples": gallery.entries, "methods": summaries, "provenance": self.provenance}
        if chosen.measured:
            content["resampled"] = self._drawn(chosen.measured).to_json()
        return self.files.write_index(content)

    @property
    def _radius(self) -> float:
        """Tolerance of the pointing game, pixels: the same as where the elements are measured."""
        return 0.0 if self.elements is None else self.elements.pointing_radius

    def _summary(
        self,
        name: str,
        method: Attribution,
        chosen: ChosenImages,
        images: torch.Tensor,
        explained: torch.Tensor,
        maps: Maps,
        masks: Masks,
    ) -> dict[str, Any]:
        """Return what the index says of a method: its parameters, and what was measured of its maps."""
        summary: dict[str, Any] = {"title": method_title(name), "parameters": plain_parameters(method)}
        if chosen.measured:
            groups = self._drawn(chosen.measured).groups
            summary["quality"] = mean_quality(
                maps, masks, chosen.measured, sign=method.sign, radius=self._radius, groups=groups, seed=self.seed
            )
        if isinstance(method, LIME) and len(self.stability_seeds) > 1 and chosen.shown:
            places = chosen.places(chosen.shown)
            summary["stability"] = stability_summary(method, images[places], explained[places], self.stability_seeds)
        if isinstance(method, IntegratedGradients):
            summary["completeness_gap"] = completeness_summary(method, images, maps, explained, self.batch_size)
        return summary

    def _measurable(self, predicted: Sequence[int], targets: Sequence[int]) -> list[bool]:
        """Tell for each record whether its map should point at a known cause: that of the class explained."""
        return [
            self.truth_bit is not None and "truth" in record and record.get("label") == prediction == target
            for record, prediction, target in zip(self.records, predicted, targets, strict=True)
        ]

    def _images(self, samples: Sequence[int]) -> torch.Tensor:
        """Return the network's inputs ``(N, C, H, W)``."""
        images = [convert_to_tensor(self.dataset[index]["image"], track_meta=False) for index in samples]
        return torch.stack(images).to(self.device)

    def _drawn(self, measured: Sequence[int]) -> ResamplingGroups:
        """Return what the intervals of the quality resample."""
        return group_records([self.records[index] for index in measured], self.group_key)
