"""Everything that is measured of the maps of images, for the five elements of interpretability, in one call.

The measures themselves are functions elsewhere; here is which of them is taken on which samples, and what is said where
one cannot be taken. What needs only maps and masks is measured on all samples; what has to explain again (noise,
randomised networks, other trainings) or asks the network again (deletion, insertion), on some of them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from tqdm.auto import tqdm

from shared.evaluation.interpretability.file import FILE, write_interpretability
from shared.saliency.altered_images import AlteredImages, image_response_rows
from shared.saliency.base import Attribution, evaluation_mode
from shared.saliency.batched_maps import batched_maps
from shared.saliency.image_samples import ImageSamples
from shared.saliency.interpretability_rows import map_rows, measure_rows
from shared.saliency.intervention import unaltered_rows
from shared.saliency.noise_stability import noise_stability
from shared.saliency.overlap import TunedThreshold, tune_threshold
from shared.saliency.perturbation_curves import deletion_insertion, perturbation_quality, random_areas
from shared.saliency.quality import MapQuality
from shared.saliency.sanity.checks import SanityChecks
from shared.saliency.sanity.explained import ExplainedImages
from shared.saliency.sanity.shuffled import shuffled_likeness
from shared.saliency.seed_stability import load_other_models, seed_stability
from shared.saliency.transparency.description import describe_methods, describe_model
from shared.saliency.transparency.report import measure_transparency

__all__ = ["ImageElements", "MeasuredMaps"]

Row = dict[str, Any]
Maps = NDArray[np.floating]


@dataclass(frozen=True)
class MeasuredMaps:
    """What was measured of maps.

    Attributes:
        rows: of the interpretability file.
        methods: their descriptions, as that file has them.
    """

    rows: list[Row]
    methods: dict[str, dict[str, Any]]


@dataclass(frozen=True)
class ImageElements:
    """Measures the maps of images, and writes ``interpretability.json``.

    Args:
        methods: explanation methods by their keys, all of one network.
        bundle: its name.
        unit: what is explained, in the singular: cell, finding.
        output_dir: folder of the file.
        activation: ``softmax`` for classes of which one is true, ``sigmoid`` for those that are true or not each for
            itself: from logits to the probabilities of deletion and insertion.
        tuning: returns validation samples to choose the threshold of the IoU on; ``None``, or if it returns ``None``,
            there is no such threshold.
        interventions: returns images drawn again with their cause altered, none if there are no such.
        sanity: the sanity checks.
        other_model_files: weights of trainings from other seeds.
        other_models: returns the networks of other trainings in place of such files, where what is explained is a part
            of what was trained.
        training_command: a command that makes such a training, for the reader.
        checked_samples: number of samples of which maps are made again, or the network is asked again.
        noise_level: see :func:`shared.saliency.noise_stability.noise_stability`.
        noise_draws: see there.
        perturbation_steps: see :func:`shared.saliency.perturbation_curves.deletion_insertion`.
        perturbation_orders: random orders of each image that deletion and insertion are compared with.
        perturbation_blur: standard deviation of the blur in which pixels disappear, pixels.
        pointing_radius: tolerance of the pointing game, pixels.
        variants: which variant of the phantoms marks a ``distractor`` or a ``shortcut``.
        batch_size: images at once.
        seed: of draws and intervals.
        provenance: where weights and data come from.
    """

    methods: Mapping[str, Attribution]
    bundle: str
    unit: str
    output_dir: str | os.PathLike[str]
    activation: Literal["softmax", "sigmoid"] = "softmax"
    tuning: Callable[[], ImageSamples | None] | None = None
    interventions: Callable[[], Sequence[AlteredImages]] | None = None
    sanity: SanityChecks = field(default_factory=SanityChecks)
    other_model_files: Sequence[str | os.PathLike[str]] = ()
    other_models: Callable[[], Sequence[nn.Module]] | None = None
    training_command: str = ""
    checked_samples: int = 16
    noise_level: float = 0.02
    noise_draws: int = 1
    perturbation_steps: int = 10
    perturbation_orders: int = 5
    perturbation_blur: float = 5.0
    pointing_radius: float = 0.0
    variants: Mapping[str, str] = field(default_factory=dict)
    batch_size: int = 64
    seed: int = 0
    provenance: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def network(self) -> nn.Module:
        """The network that all methods explain."""
        return next(iter(self.methods.values())).network

    def write(
        self,
        samples: ImageSamples,
        maps: Mapping[str, Maps],
        further: Iterable[Row] = (),
        known: Mapping[str, MapQuality] | None = None,
    ) -> Path:
        """Measure all that can be measured and write the file.

        Args:
            samples: the explained images.
            maps: of each method ``(N, H, W)``, channels added up.
            further: rows that only the bundle can make.
            known: by method, measures of the same samples that were taken already and stand in place of those taken
                here.

        Returns:
            The file.
        """
        measured = self.measure(samples, maps, known)
        return write_interpretability(
            Path(self.output_dir) / FILE,
            [*further, *measured.rows, *self._altered()],
            measured.methods,
            bundle=self.bundle,
            unit=self.unit,
            model=describe_model(self.network),
            provenance=self.provenance,
            resampled=samples.resampled,
        )

    def measure(
        self, samples: ImageSamples, maps: Mapping[str, Maps], known: Mapping[str, MapQuality] | None = None
    ) -> MeasuredMaps:
        """Measure all that can be measured of maps, but the interventions, and write nothing.

        Args:
            samples: see :meth:`write`, as ``maps`` and ``known``.
            maps: see there.
            known: see there.
        """
        thresholds = self._thresholds()
        rows: list[Row] = []
        for name in tqdm(self.methods, desc="measuring", unit="method"):
            rows += self._map_rows(name, samples, maps[name], thresholds.get(name), (known or {}).get(name, {}))
        places = samples.draw(self.checked_samples, self.seed)
        chosen = samples.subset(places)
        of_chosen = {name: maps[name][places] for name in self.methods}
        rows += self._perturbed(chosen, of_chosen)
        checked, satisfies, failed = self._checked(chosen, of_chosen)
        return MeasuredMaps(rows + checked, describe_methods(self.methods, satisfies, failed))

    def maps(self, method: Attribution, samples: ImageSamples) -> Maps:
        """Return a method's maps of samples ``(N, H, W)``, channels added up."""
        return batched_maps(method, samples.images, samples.targets, self.batch_size)

    def _thresholds(self) -> dict[str, TunedThreshold]:
        """Return the threshold of the IoU of each method, chosen on validation samples."""
        samples = None if self.tuning is None else self.tuning()
        if samples is None or samples.cause is None or not samples.cause.any(axis=(1, 2)).any():
            return {}
        return {
            name: tune_threshold(self.maps(method, samples), samples.cause, method.sign)
            for name, method in tqdm(self.methods.items(), desc="choosing thresholds", unit="method")
        }

    def _map_rows(
        self, name: str, samples: ImageSamples, maps: Maps, tuned: TunedThreshold | None, known: MapQuality
    ) -> list[Row]:
        return map_rows(
            name,
            maps,
            images=samples.images.cpu().numpy(),
            masks=samples.cause,
            background=samples.background,
            distractor=samples.distractor,
            shortcut=samples.shortcut,
            tuned=tuned,
            labels=samples.labels,
            groups=samples.groups,
            ids=samples.names,
            seed=self.seed,
            sign=self.methods[name].sign,
            radius=self.pointing_radius,
            known=known,
            variants=self.variants,
        )

    def _perturbed(self, samples: ImageSamples, maps: Mapping[str, Maps]) -> list[Row]:
        """Return the rows of stability under noise, deletion and insertion."""
        options: dict[str, Any] = {"steps": self.perturbation_steps, "blur_sigma": self.perturbation_blur}
        options |= {"batch_size": self.batch_size, "seed": self.seed}
        images, targets = samples.images, samples.targets
        rows = []
        with evaluation_mode(self.network):
            orders = self.perturbation_orders
            random = random_areas(self._probabilities, images, targets, orders=orders, **options)
            for name, method in tqdm(self.methods.items(), desc="perturbing", unit="method"):
                own = maps[name]
                noise: dict[str, Any] = {"noise_level": self.noise_level, "draws": self.noise_draws, "seed": self.seed}
                stable = noise_stability(method, images, targets, **noise, maps=own, batch_size=self.batch_size)
                curves = deletion_insertion(self._probabilities, images, own, targets, sign=method.sign, **options)
                unrelated = shuffled_likeness(own, seed=self.seed)["structural_similarity"]
                quality = {"noise_stability": {"value": stable, "chance": unrelated}}
                quality |= perturbation_quality(curves, random)
                stated = {key: options[key] for key in ("steps", "blur_sigma")} | {"random_orders": orders}
                parameters = {"noise_stability": noise, "deletion_auc": stated, "insertion_auc": stated}
                rows += measure_rows(
                    name,
                    quality,
                    groups=samples.groups,
                    seed=self.seed,
                    parameters=parameters,
                    ids=samples.names,
                )
        return rows

    def _probabilities(self, images: torch.Tensor) -> torch.Tensor:
        logits = self.network(images)
        return logits.softmax(dim=1) if self.activation == "softmax" else logits.sigmoid()

    def _checked(
        self, samples: ImageSamples, maps: Mapping[str, Maps]
    ) -> tuple[list[Row], dict[str, list[str]], dict[str, list[str]]]:
        """Return the rows of sanity, transparency and other trainings, and what methods satisfy and failed."""
        explained = ExplainedImages(self.methods, samples.images, samples.targets, self.batch_size)
        report = self.sanity.run(explained, samples.groups, maps)
        transparency = measure_transparency(explained, report.original, groups=samples.groups, seed=self.seed)
        stability = seed_stability(
            explained,
            report.original,
            self._others(),
            command=self.training_command,
            groups=samples.groups,
            seed=self.seed,
        )
        failed = {name: report.failed(name) for name in self.methods}
        return [*report.rows(), *transparency.rows, *stability], transparency.satisfies, failed

    def _others(self) -> Sequence[nn.Module]:
        """Return the networks of other trainings."""
        if self.other_models is not None:
            return self.other_models()
        return load_other_models(self.network, self.other_model_files)

    def _altered(self) -> list[Row]:
        """Return the rows of the interventions."""
        altered = [] if self.interventions is None else list(self.interventions())
        if not altered:
            return unaltered_rows(list(self.methods))
        device = next(self.network.parameters()).device
        return image_response_rows(altered, self.methods, self.network, device, self.batch_size)
