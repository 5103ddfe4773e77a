"""Explaining: maps of chosen samples by several methods, as files, with their quality where the truth is known."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm.auto import tqdm

from shared.data.errors import DataError
from shared.data.files import write_json
from shared.saliency.base import Attribution
from shared.saliency.case_selection import choose_cases, choose_measured
from shared.saliency.file_names import safe_name
from shared.saliency.lime import LIME, lime_stability
from shared.saliency.nifti import write_map
from shared.saliency.overlay import overlay_title, write_image, write_overlay
from shared.saliency.quality import MapQuality, map_quality, sample_quality, summarise_quality

__all__ = ["Explainer"]


class Explainer:
    """Write maps of chosen samples by every method, and measure them.

    For a gallery (some samples of each class, wrong ones, outliers) each map becomes a signed NIfTI file on the grid of
    the image and a PNG overlay. The quality is measured on more samples than are shown: correctly predicted ones whose
    cause is known. The class that is explained is the predicted one unless ``target_class`` names another.

    Args:
        methods: name to attribution method.
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
        batch_size: images explained at once.
        stability_seeds: seeds over which the stability of LIME is measured.
        pixel_size_um: size of a pixel in µm, for scale bars and NIfTI headers; ``None`` if unknown.
        image_label: what a grey value is, with its unit.
        image_range: value of the unnormalised image at 0 and at 1 of the network's input, for display.
        seed: seed of the choice of samples.
        provenance: where weights and data come from, for the index.

    Raises:
        DataError: if there are no samples, or the target class is unknown.
        ValueError: if there is no method, or records and data set differ in length.
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
        batch_size: int = 64,
        stability_seeds: Sequence[int] = (0, 1, 2, 3, 4),
        pixel_size_um: float | None = None,
        image_label: str = "grey value",
        image_range: tuple[float, float] = (0.0, 1.0),
        seed: int = 0,
        provenance: Mapping[str, Any] | None = None,
    ) -> None:
        if not methods:
            raise ValueError("name at least one attribution method")
        if not records:
            raise DataError("there are no samples to explain; check dataset_dir and section")
        if len(records) != len(dataset):
            raise ValueError(f"found {len(records)} records for {len(dataset)} images")
        if target_class is not None and target_class not in classes:
            raise DataError(f"target_class {target_class!r} is none of the classes {', '.join(classes)}")
        self.methods = dict(methods)
        self.dataset = dataset
        self.records = [dict(record) for record in records]
        self.classes = list(classes)
        self.device = torch.device(device)
        self.output_dir = Path(output_dir)
        self.truth_bit = truth_bit
        self.target = None if target_class is None else self.classes.index(target_class)
        self.samples_per_class = samples_per_class
        self.wrong_samples = wrong_samples
        self.samples_per_kind = samples_per_kind
        self.measured_samples = measured_samples
        self.batch_size = batch_size
        self.stability_seeds = tuple(stability_seeds)
        self.pixel_size_um = pixel_size_um
        self.image_label = image_label
        self.image_range = image_range
        self.seed = seed
        self.provenance = dict(provenance or {})

    def run(self, predictions: Sequence[Mapping[str, Any]]) -> Path:
        """Explain, measure and write.

        Args:
            predictions: for each record ``prediction`` (class name), ``confidence`` in [0, 1], ``decision`` and
                ``reason``, as rows of the predictions file have them.

        Returns:
            The index, ``explanations/index.json``.
        """
        labels = [record.get("label") for record in self.records]
        predicted = [self.classes.index(row["prediction"]) for row in predictions]
        shown = choose_cases(
            labels,
            predicted,
            [record.get("kind") for record in self.records],
            per_class=self.samples_per_class,
            wrong=self.wrong_samples,
            per_kind=self.samples_per_kind,
            seed=self.seed,
        )
        has_truth = [self.truth_bit is not None and "truth" in record for record in self.records]
        measured = choose_measured(labels, predicted, has_truth, count=self.measured_samples, seed=self.seed)
        samples = sorted({*shown, *measured})
        row = {index: position for position, index in enumerate(samples)}
        images = torch.stack([torch.as_tensor(self.dataset[index]["image"]) for index in samples]).to(self.device)
        targets = torch.tensor([predicted[index] if self.target is None else self.target for index in samples])
        masks = {index: self._cause(self.records[index]) for index in samples if has_truth[index]}

        entries = [self._sample_entry(index, int(targets[row[index]]), predictions[index]) for index in shown]
        for index, entry in zip(shown, entries, strict=True):
            self._write_image(index, entry, images[row[index], 0].cpu().numpy(), masks.get(index))
        summaries: dict[str, Any] = {}
        for name, method in tqdm(self.methods.items(), desc="explaining", unit="method"):
            maps = self._maps(method, images, targets)
            summaries[name] = {"parameters": _plain_parameters(method)}
            if measured:
                rows = [row[index] for index in measured]
                causes = np.stack([masks[index] for index in measured])
                groups = [str(self.records[index].get("donor", self.records[index]["id"])) for index in measured]
                summaries[name]["quality"] = summarise_quality(map_quality(maps[rows], causes), groups=groups)
            if isinstance(method, LIME) and len(self.stability_seeds) > 1:
                summaries[name]["stability"] = self._stability(method, images, targets, [row[index] for index in shown])
            for index, entry in zip(shown, entries, strict=True):
                image = images[row[index], 0].cpu().numpy()
                self._write_map(name, index, entry, image, maps[row[index]], masks.get(index), predictions[index])

        index_file = self.output_dir / "explanations" / "index.json"
        write_json(index_file, {"samples": entries, "methods": summaries, "provenance": self.provenance})
        return index_file

    def _maps(self, method: Attribution, images: torch.Tensor, targets: torch.Tensor) -> np.ndarray:
        """Return maps ``(N, H, W)``, channels added up."""
        batches: Iterable[tuple[torch.Tensor, torch.Tensor]] = zip(
            images.split(self.batch_size), targets.split(self.batch_size), strict=True
        )
        return np.concatenate([method.attribute(batch, target).sum(dim=1).cpu().numpy() for batch, target in batches])

    def _cause(self, record: Mapping[str, Any]) -> np.ndarray:
        """Return where the cause of the class is, ``(H, W)``."""
        try:
            truth = np.load(record["truth"], allow_pickle=False)
        except (OSError, ValueError) as error:
            raise DataError(f"{record['truth']}: not a readable NumPy file ({error}); prepare the data anew") from error
        return (truth & self.truth_bit) > 0

    def _stability(self, lime: LIME, images: torch.Tensor, targets: torch.Tensor, rows: list[int]) -> dict[str, Any]:
        values = lime_stability(lime, images[rows], targets[rows], self.stability_seeds).double().cpu().numpy()
        defined = values[np.isfinite(values)]
        return {
            "rank_correlation": float(defined.mean()) if len(defined) else None,
            "standard_deviation": float(defined.std()) if len(defined) else None,
            "n": len(defined),
            "seeds": list(self.stability_seeds),
        }

    def _sample_entry(self, index: int, target: int, prediction: Mapping[str, Any]) -> dict[str, Any]:
        record = self.records[index]
        label = record.get("label")
        return {
            "id": record["id"],
            "label": None if label is None else self.classes[label],
            "kind": record.get("kind"),
            "prediction": prediction["prediction"],
            "target": self.classes[target],
            "confidence": float(prediction["confidence"]),
            "decision": prediction["decision"],
            "reason": prediction["reason"],
            "methods": {},
        }

    def _path(self, index: int, suffix: str) -> tuple[Path, str]:
        """Return a file of a sample, and its name in the index."""
        name = f"explanations/{safe_name(self.records[index]['id'])}/{suffix}"
        return self.output_dir / name, name

    def _grey(self, image: np.ndarray) -> np.ndarray:
        low, high = self.image_range
        return low + (high - low) * image

    def _write_image(self, index: int, entry: dict[str, Any], image: np.ndarray, mask: np.ndarray | None) -> None:
        path, entry["image_png"] = self._path(index, "image.png")
        write_image(
            path,
            self._grey(image),
            title=f"truth: {entry['label'] or entry['kind'] or 'not known'}",
            subtitle=entry["id"],
            bar_label=self.image_label,
            mask=mask if mask is not None and mask.any() else None,
            pixel_size_um=self.pixel_size_um,
        )

    def _write_map(
        self,
        method: str,
        index: int,
        entry: dict[str, Any],
        image: np.ndarray,
        attribution: np.ndarray,
        mask: np.ndarray | None,
        prediction: Mapping[str, Any],
    ) -> None:
        overlay, overlay_name = self._path(index, f"{method}.png")
        nifti, nifti_name = self._path(index, f"{method}.nii.gz")
        known = mask is not None and bool(mask.any())
        write_overlay(
            overlay,
            self._grey(image),
            attribution,
            title=overlay_title(
                entry["prediction"],
                entry["confidence"],
                label=entry["label"] or entry["kind"],
                decision=prediction["decision"],
                target=entry["target"],
            ),
            subtitle=method,
            mask=mask if known else None,
            pixel_size_um=self.pixel_size_um,
        )
        size_mm = 1.0 if self.pixel_size_um is None else self.pixel_size_um / 1000
        write_map(nifti, attribution, pixel_size_mm=size_mm, description=f"{method}: {entry['target']}")
        quality: dict[str, Any] = {}
        if known and mask is not None:
            sample: MapQuality = map_quality(attribution[None], mask[None])
            quality = sample_quality(sample, 0)
        entry["methods"][method] = {"overlay_png": overlay_name, "nifti": nifti_name, "quality": quality}


def _plain_parameters(method: Attribution) -> dict[str, Any]:
    """Return the method's class and those of its settings that JSON can hold."""
    plain = (bool, int, float, str, type(None))
    settings = {
        name: value for name, value in vars(method).items() if not name.startswith("_") and isinstance(value, plain)
    }
    inner = {name: _plain_parameters(value) for name, value in vars(method).items() if isinstance(value, Attribution)}
    return {"class": f"{type(method).__module__}.{type(method).__qualname__}", **settings, **inner}
