"""Handler that ends calibrating: temperature, outlier statistics and thresholds, in one file bound to the weights."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import numpy as np
import torch
from ignite.engine import Engine, Events

from shared.calibration.calibration_file import write_calibration
from shared.calibration.confidence import chance_corrected_confidence
from shared.calibration.outlier_detector import OutlierDetector
from shared.calibration.output_collector import CollectedOutputs, OutputCollector
from shared.calibration.selective_threshold import ThresholdFit, fit_threshold
from shared.calibration.temperature import apply_temperature, fit_temperature
from shared.data.errors import DataError
from shared.data.files import sha256_file
from shared.evaluation.provenance import provenance

__all__ = ["CalibrationFitter"]

STATISTICS_FILE = "outlier_statistics.npz"


class CalibrationFitter:
    """Ignite handler that fits on what an evaluation of training and validation samples collected.

    The temperature and both thresholds come from the validation samples, the outlier statistics from the training
    samples (without augmentation); no outlier is used. Writes ``calibration.json`` and, beside it,
    ``outlier_statistics.npz``.

    Args:
        collector: collects the raw outputs of records with ``label`` and ``section`` (training or validation).
        classes: class names in the order of the logits.
        weights_file: the weights that are calibrated.
        calibration_file: the file to write.
        bundle: name of the bundle.
        last_layer: the network's last linear layer, which virtual-logit matching needs.
        samples: Monte Carlo samples of the inferer.
        seed: seed of the inferer's masks, and of the fits.
        minimum_confidence: predictions below are rejected.
        inliers_kept: share of the validation samples that the outlier threshold and the minimum confidence together
            keep.
        target_risk: error rate that accepted predictions may have; fixes the confidence below which they are deferred.
        guarantee: probability with which the true risk may exceed the target (Clopper–Pearson bound); ``None`` for the
            plain empirical risk.
        data_files: files to hash for the provenance: the datalist.
    """

    def __init__(
        self,
        collector: OutputCollector,
        classes: Sequence[str],
        weights_file: str | os.PathLike[str],
        calibration_file: str | os.PathLike[str],
        bundle: str,
        last_layer: torch.nn.Linear,
        samples: int,
        seed: int,
        minimum_confidence: float = 0.2,
        inliers_kept: float = 0.97,
        target_risk: float = 0.05,
        guarantee: float | None = None,
        data_files: Sequence[str | os.PathLike[str]] = (),
    ) -> None:
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
        self.guarantee = guarantee
        self.data_files = list(data_files)
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
        content["provenance"] = provenance(self.seed, self.data_files, [self.weights_file])
        write_calibration(self.calibration_file, content)
        self.logger.info(
            f"temperature {content['temperature']['value']:.3f}, accepted from confidence "
            f"{content['confidence']['accept']:.3f}: wrote {self.calibration_file}"
        )

    def fit(self, training: CollectedOutputs, validation: CollectedOutputs) -> tuple[dict[str, Any], OutlierDetector]:
        """Fit everything.

        Returns:
            The content of the calibration file, but for the statistics' file and the provenance, and the detector.
        """
        labels = _labels(validation)
        logits = validation.outputs["logits"]
        fit = fit_temperature(logits, labels)
        probabilities = apply_temperature(logits, fit.temperature)
        confidence = chance_corrected_confidence(probabilities)
        threshold, reached = self._acceptance(confidence, probabilities.argmax(axis=1) != labels)
        detector = OutlierDetector.fit(
            training.outputs, _labels(training), temperature=fit.temperature, last_layer=self.last_layer
        )
        detector = detector.calibrated(
            validation.outputs, keep=self.inliers_kept, also_kept=confidence >= self.minimum_confidence
        )
        content = {
            "bundle": self.bundle,
            "weights_sha256": sha256_file(self.weights_file),
            "classes": self.classes,
            "monte_carlo": {"samples": self.samples, "seed": self.seed},
            "temperature": {**fit.to_dict(), "split": "validation"},
            "confidence": {
                "definition": "(K p_max - 1) / (K - 1)",
                "minimum": self.minimum_confidence,
                "accept": max(threshold.threshold, self.minimum_confidence) if threshold else 1.0,
                "target_risk": self.target_risk,
                "guarantee": self.guarantee,
                "reached": reached,
                "coverage": threshold.coverage if threshold else 0.0,
                "risk": threshold.risk if threshold else None,
                "n": len(labels),
                "split": "validation",
            },
            "outlier": {
                "threshold": detector.threshold,
                "inliers_kept": self.inliers_kept,
                "members": list(detector.members),
                "n_training": len(training.records),
                "n_validation": len(validation.records),
            },
        }
        return content, detector

    def _acceptance(self, confidence: np.ndarray, wrong: np.ndarray) -> tuple[ThresholdFit | None, bool]:
        try:
            return fit_threshold(confidence, wrong, self.target_risk, delta=self.guarantee), True
        except DataError as error:
            self.logger.warning(f"nothing will be accepted below full confidence: {error}")
            return None, False


def _labels(collected: CollectedOutputs) -> np.ndarray:
    return np.array([record["label"] for record in collected.records], dtype=np.int64)
