"""Handler that ends calibrating: temperature, outlier statistics and thresholds, in one file bound to the weights."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import numpy as np
import torch
from ignite.engine import Engine, Events

from shared.calibration.calibration_file import write_calibration
from shared.calibration.calibration_records import SOURCE_SECTION, fitted_on
from shared.calibration.confidence import DEFINITION, chance_corrected_confidence
from shared.calibration.decision_fits import deferral_entries, sensitivity_entry
from shared.calibration.outlier_detector import OutlierDetector
from shared.calibration.outliers.all_scores import ScoreSettings
from shared.calibration.output_collector import CollectedOutputs, OutputCollector
from shared.calibration.selective_threshold import ThresholdFit, fit_threshold
from shared.calibration.temperature import apply_temperature, fit_temperature
from shared.data.errors import DataError
from shared.data.files import sha256_file
from shared.data.prepare_settings import PREPARED_WITH
from shared.evaluation.provenance import provenance
from shared.evaluation.resampling_groups import group_records

__all__ = ["CalibrationFitter"]

STATISTICS_FILE = "outlier_statistics.npz"


class CalibrationFitter:
    """Ignite handler that fits on what an evaluation of training and validation samples collected.

    The temperature and both thresholds come from the validation samples, or those of a section ``calibration`` that
    stand in their place (:func:`~shared.calibration.calibration_records.records_to_calibrate`), the outlier statistics
    from the training samples (without augmentation); no outlier is used. ``fitted_on`` in the file says which it were,
    and whether guarantees are nominal since the same samples chose the epoch of the weights. Writes
    ``calibration.json`` and, beside it, ``outlier_statistics.npz``.

    Validation samples that are all classified right, or no better than by chance, have no best temperature. The
    calibration is written all the same, ``temperature.bound`` says so, and a warning is logged: the temperature then
    is 1 (the network's own confidence) or the upper bound of the search (next to no confidence).

    Args:
        collector: collects the raw outputs of records with ``label`` and ``section`` (training or validation).
        classes: class names in the order of the logits.
        weights_file: the weights that are calibrated.
        calibration_file: the file to write.
        bundle: name of the bundle.
        last_layer: the network's last linear layer, which virtual-logit matching needs; ``None`` leaves that score out.
        samples: Monte Carlo samples of the inferer.
        seed: seed of the inferer's masks, and of the fits.
        minimum_confidence: predictions below are rejected.
        inliers_kept: share of the validation samples that the outlier threshold and the minimum confidence together
            keep.
        target_risk: error rate that accepted predictions may have; fixes the confidence below which they are deferred.
            It is measured on the validation samples that are not rejected. If no confidence reaches it, a warning is
            logged and nothing will be accepted.
        outlier_members: names of the outlier scores that decide; ``None`` for the detector's own choice.
        outlier_settings: of the outlier scores; ``None`` for the default.
        guarantee: probability with which the true risk may exceed the target (Clopper–Pearson bound); ``None`` for the
            plain empirical risk. The bound holds only for a confidence that was fixed before its samples were seen:
            with a guarantee, one half of the validation samples gives temperature and outlier threshold, and the other
            the confidence from which predictions are accepted. It takes samples for independent of one another.
        group_key: key of a record that says which samples belong together (donor, patient) and come into the same half;
            where records do not have it, or all are of one group, single samples are divided.
        data_files: files to hash for the provenance: the datalist.
        prepared_with: settings that the data were prepared with, kept in the calibration file so that inferring can
            prepare raw data alike; ``None`` if they are not known.
        target_sensitivity: of two classes, the share of the second that shall not be accepted as the first, with the
            guarantee of :func:`shared.calibration.risk_control.fit_sensitivity`; ``None`` asks for none. It comes from
            all validation samples of that class, because a temperature does not change their order; with several
            Monte Carlo samples and a ``guarantee``, from those that the temperature was not fitted on. If they are
            too few, a warning is logged and no prediction of the first class will be accepted.
        deferral_risks: further error rates to find the confidence for, so that evaluating can say what each of them
            saves; they decide nothing.

    Raises:
        DataError: when called, if training or validation samples are missing or too few.
        ValueError: if a sensitivity is asked for with other than two classes.
    """

    def __init__(
        self,
        collector: OutputCollector,
        classes: Sequence[str],
        weights_file: str | os.PathLike[str],
        calibration_file: str | os.PathLike[str],
        bundle: str,
        last_layer: torch.nn.Linear | None,
        samples: int,
        seed: int,
        minimum_confidence: float = 0.2,
        inliers_kept: float = 0.97,
        target_risk: float = 0.05,
        outlier_members: Sequence[str] | None = None,
        guarantee: float | None = None,
        group_key: str | None = "donor",
        data_files: Sequence[str | os.PathLike[str]] = (),
        outlier_settings: ScoreSettings | None = None,
        prepared_with: Mapping[str, Any] | None = None,
        target_sensitivity: float | None = None,
        deferral_risks: Sequence[float] = (),
    ) -> None:
        if target_sensitivity is not None and len(classes) != 2:
            raise ValueError(
                f"a sensitivity is that of the second of two classes, found {len(classes)}: {', '.join(classes)}; set "
                "target_sensitivity to null"
            )
        self.collector = collector
        self.classes = list(classes)
        self.weights_file = Path(weights_file)
        self.calibration_file = Path(calibration_file)
        self.bundle = bundle
        self.last_layer = last_layer
        self.samples = samples
        self.seed = seed
        self.minimum_confidence = minimum_confidence
        self.inliers_kept = inliers_kept
        self.target_risk = target_risk
        self.outlier_members = outlier_members
        self.outlier_settings = outlier_settings or ScoreSettings()
        self.guarantee = guarantee
        self.group_key = group_key
        self.data_files = list(data_files)
        self.prepared_with = prepared_with
        self.target_sensitivity = target_sensitivity
        self.deferral_risks = list(deferral_risks)
        self.logger = logging.getLogger("CalibrationFitter")

    def attach(self, engine: Engine) -> None:
        """Attach to an evaluator, behind the collector."""
        if not engine.has_event_handler(self, Events.COMPLETED):
            engine.add_event_handler(Events.COMPLETED, self)

    def __call__(self, _: Engine) -> None:
        """Fit and write."""
        collected = self.collector.collected
        if collected is None:
            raise RuntimeError("the collector has nothing: list it before this handler")
        if idist.get_rank() != 0:
            return
        training = collected.where([record["section"] == "training" for record in collected.records])
        validation = collected.where([record["section"] == "validation" for record in collected.records])
        for name, part in (("training", training), ("validation", validation)):
            if not part.records:
                raise DataError(f"the datalist has no {name} samples; calibrating needs them")
        content, detector = self.fit(training, validation)
        # the statistics first: calibration.json names their hash and makes both valid
        statistics = self.calibration_file.with_name(STATISTICS_FILE)
        content["outlier"] |= {"statistics": statistics.name, "statistics_sha256": detector.save(statistics)}
        content[PREPARED_WITH] = self.prepared_with
        content["provenance"] = provenance(self.seed, self.data_files, [self.weights_file])
        write_calibration(self.calibration_file, content)
        accept = content["confidence"]["accept"]
        self.logger.info(
            f"temperature {content['temperature']['value']:.3f}, "
            + ("nothing accepted" if accept is None else f"accepted from confidence {accept:.3f}")
            + f": wrote {self.calibration_file}"
        )

    def fit(self, training: CollectedOutputs, validation: CollectedOutputs) -> tuple[dict[str, Any], OutlierDetector]:
        """Fit everything.

        Returns:
            The content of the calibration file, but for the statistics' file and the provenance, and the detector.
        """
        split = str(validation.records[0].get(SOURCE_SECTION, "validation"))
        fitting, accepting, divided_by = self._halves(validation)
        fit = fit_temperature(fitting.outputs["logits"], _labels(fitting), at_bound="conservative")
        if fit.caveat:
            self.logger.warning(f"{split}: {fit.caveat}")
        detector = self._detector(training, fitting, fit.temperature)
        confidence, wrong, kept = self._kept(accepting, fit.temperature, detector)
        threshold = self._acceptance(confidence[kept], wrong[kept])
        content = {
            "bundle": self.bundle,
            "weights_sha256": sha256_file(self.weights_file),
            "classes": self.classes,
            "monte_carlo": {"samples": self.samples, "seed": self.seed},
            "fitted_on": fitted_on(split, len(validation.records)),
            "temperature": {**fit.to_dict(), "split": split},
            "confidence": {
                "definition": DEFINITION,
                "minimum": self.minimum_confidence,
                "accept": threshold.threshold if threshold else None,
                "target_risk": self.target_risk,
                "guarantee": self.guarantee,
                "reached": threshold is not None,
                "coverage": threshold.n * threshold.coverage / len(wrong) if threshold else 0.0,
                "risk": threshold.risk if threshold else None,
                "risk_bound": threshold.risk_bound if threshold else None,
                "n": len(wrong),
                "split": split,
                "divided_by": divided_by,
            },
            "sensitivity": self._sensitivity(validation if self.samples == 1 else accepting, fit.temperature, split),
            "deferral": deferral_entries(confidence, wrong, kept, self.deferral_risks),
            "outlier": {
                "threshold": detector.threshold,
                "inliers_kept": self.inliers_kept,
                "kept": float(self._kept(fitting, fit.temperature, detector)[2].mean()),
                "members": list(detector.members),
                "settings": asdict(self.outlier_settings),
                "n_training": len(training.records),
                "n_validation": len(fitting.records),
            },
        }
        return content, detector

    def _halves(self, validation: CollectedOutputs) -> tuple[CollectedOutputs, CollectedOutputs, str | None]:
        """Return the samples for temperature and outlier threshold, those for acceptance, and what divided them."""
        if self.guarantee is None:
            return validation, validation, None
        drawn = group_records(validation.records, self.group_key)
        if drawn.groups is None or drawn.n < 2:
            groups, divided_by = np.arange(len(validation.records)), "sample"
        else:
            groups, divided_by = drawn.groups, drawn.by
        if drawn.warning or drawn.by != divided_by:
            self.logger.warning(
                f"the validation samples are divided one by one, not by {self.group_key}: samples of one "
                f"{self.group_key} stand on both sides, and the guarantee of the risk is nominal"
            )
        names, sizes = np.unique(groups, return_counts=True)
        order = np.random.default_rng(self.seed).permutation(len(names))
        before = sizes[order].cumsum() - sizes[order] / 2
        first = np.isin(groups, names[order][before <= len(groups) / 2])
        return validation.where(first.tolist()), validation.where((~first).tolist()), divided_by

    def _kept(
        self, collected: CollectedOutputs, temperature: float, detector: OutlierDetector
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the confidence of each sample, whether its prediction is wrong, and whether it is not rejected."""
        probabilities = apply_temperature(collected.outputs["logits"], temperature)
        confidence = chance_corrected_confidence(probabilities)
        members = detector.member_scores(collected.outputs, detector.members)
        usual = detector.combine(members) <= detector.threshold
        wrong = probabilities.argmax(axis=1) != _labels(collected)
        return confidence, wrong, usual & (confidence >= self.minimum_confidence)

    def _detector(
        self, training: CollectedOutputs, validation: CollectedOutputs, temperature: float
    ) -> OutlierDetector:
        probabilities = apply_temperature(validation.outputs["logits"], temperature)
        sure = chance_corrected_confidence(probabilities) >= self.minimum_confidence
        if not sure.any():
            self.logger.warning("all validation samples are below the minimum confidence: nothing will be kept")
        try:
            detector = OutlierDetector.fit(
                training.outputs,
                _labels(training),
                temperature=temperature,
                last_layer=self.last_layer,
                members=self.outlier_members,
                settings=self.outlier_settings,
            )
            return detector.calibrated(
                validation.outputs,
                keep=self.inliers_kept,
                also_kept=sure if sure.any() else None,
                tail_share=self.outlier_settings.tail_share,
            )
        except ValueError as error:
            raise DataError(
                f"{self.calibration_file}: cannot fit outlier scores to {len(training.records)} training and "
                f"{len(validation.records)} validation samples: {error}"
            ) from error

    def _sensitivity(self, collected: CollectedOutputs, temperature: float, split: str) -> dict[str, Any] | None:
        if self.target_sensitivity is None:
            return None
        probability = apply_temperature(collected.outputs["logits"], temperature)[:, 1]
        return sensitivity_entry(
            probability, collected.records, self.classes, self.target_sensitivity, self.group_key, split
        )

    def _acceptance(self, confidence: np.ndarray, wrong: np.ndarray) -> ThresholdFit | None:
        if len(confidence) == 0:
            return None
        try:
            return fit_threshold(confidence, wrong, self.target_risk, delta=self.guarantee)
        except DataError as error:
            self.logger.warning(f"nothing will be accepted: {error}")
            return None


def _labels(collected: CollectedOutputs) -> np.ndarray:
    return np.array([record["label"] for record in collected.records], dtype=np.int64)
