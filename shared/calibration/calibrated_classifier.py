"""From a network's raw outputs to calibrated probabilities, confidence and a decision with its reason."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import ArrayLike

from shared.calibration.calibration_file import read_calibration
from shared.calibration.confidence import chance_corrected_confidence
from shared.calibration.decision import decide
from shared.calibration.outlier_detector import OutlierDetector
from shared.calibration.sample_summary import summarise
from shared.calibration.temperature import apply_temperature
from shared.data.errors import DataError
from shared.data.files import sha256_file

__all__ = ["CalibratedClassifier", "DeferredClassifier"]


@dataclass(frozen=True)
class CalibratedClassifier:
    """Everything that calibrating fitted, ready to be applied.

    It is a function from outputs of a network to rows of the predictions file, one sample at a time or many, with the
    same numbers either way.

    Args:
        classes: class names in the order of the logits.
        temperature: fitted temperature T.
        minimum_confidence: reject below.
        accept_confidence: defer below.
        detector: fitted outlier detector.
    """

    classes: tuple[str, ...]
    temperature: float
    minimum_confidence: float
    accept_confidence: float
    detector: OutlierDetector

    @classmethod
    def load(
        cls,
        calibration_file: str | os.PathLike[str],
        weights_file: str | os.PathLike[str],
        *,
        classes: Sequence[str],
        samples: int,
        seed: int,
    ) -> CalibratedClassifier:
        """Read the calibration of the weights in use.

        Args:
            calibration_file: ``models/calibration.json``.
            weights_file: the weights that predictions are made with.
            classes: class names in the order of the logits.
            samples: Monte Carlo samples that predictions are made with.
            seed: seed of their masks.

        Raises:
            DataError: if a file is missing or damaged, or the calibration was fitted for other weights, classes,
                samples or masks.
        """
        content = read_calibration(calibration_file, weights_file)
        path = Path(calibration_file)
        found = {"classes": list(classes), "monte_carlo": {"samples": samples, "seed": seed}}
        for key, value in found.items():
            if content.get(key) != value:
                raise DataError(
                    f"{path}: fitted for {key} {content.get(key)}, but used with {value}; "
                    "use the settings that it was fitted for, or run calibrating again"
                )
        try:
            statistics = path.parent / content["outlier"]["statistics"]
            if not statistics.is_file():
                raise DataError(f"{statistics}: no such file; run calibrating again")
            if sha256_file(statistics) != content["outlier"]["statistics_sha256"]:
                raise DataError(f"{statistics}: does not belong to {path}; run calibrating again")
            return cls(
                classes=tuple(classes),
                temperature=float(content["temperature"]["value"]),
                minimum_confidence=float(content["confidence"]["minimum"]),
                accept_confidence=float(content["confidence"]["accept"]),
                detector=OutlierDetector.load(statistics),
            )
        except (KeyError, TypeError) as error:
            raise DataError(f"{path}: the key {error} is missing or malformed; run calibrating again") from error

    def __call__(self, outputs: Mapping[str, torch.Tensor | ArrayLike]) -> dict[str, np.ndarray]:
        """Turn outputs into predictions.

        Args:
            outputs: what the inferer returned: ``logits`` ``(N, S, K)`` and whatever the outlier detector needs.

        Returns:
            Arrays with N rows: ``probabilities`` and ``uncalibrated_probabilities`` (T = 1) ``(N, K)``, ``prediction``
            (class index), ``confidence``, ``decision``, ``reason``, ``outlier_score``, one column
            ``outlier_<name>`` for each score of the detector, and the Monte Carlo summary: ``median``,
            ``standard_deviation`` (both ``(N, K)``), ``predictive_entropy``, ``mutual_information``.
        """
        arrays = {name: _array(value) for name, value in outputs.items()}
        logits = arrays["logits"]
        summary = summarise(logits, self.temperature)
        confidence = chance_corrected_confidence(summary.mean)
        members = self.detector.member_scores(arrays)
        score = self.detector.combine(members)
        decisions = decide(
            confidence,
            score,
            minimum_confidence=self.minimum_confidence,
            accept_confidence=self.accept_confidence,
            outlier_threshold=self.detector.threshold,
        )
        return {
            "probabilities": summary.mean,
            "uncalibrated_probabilities": apply_temperature(logits, 1.0),
            "prediction": summary.mean.argmax(axis=1),
            "confidence": confidence,
            "decision": np.array([decision for decision, _ in decisions], dtype=object),
            "reason": np.array([reason for _, reason in decisions], dtype=object),
            "outlier_score": score,
            **{f"outlier_{name}": values for name, values in members.items()},
            "median": summary.median,
            "standard_deviation": summary.standard_deviation,
            "predictive_entropy": summary.predictive_entropy,
            "mutual_information": summary.mutual_information,
        }


class DeferredClassifier:
    """A calibrated classifier that reads its files when it is first used.

    A config that names one can be parsed and checked before anything was trained.

    Args:
        calibration_file: see :meth:`CalibratedClassifier.load`, as all others.
        weights_file: see :meth:`CalibratedClassifier.load`.
        classes: see :meth:`CalibratedClassifier.load`.
        samples: see :meth:`CalibratedClassifier.load`.
        seed: see :meth:`CalibratedClassifier.load`.
    """

    def __init__(
        self,
        calibration_file: str | os.PathLike[str],
        weights_file: str | os.PathLike[str],
        classes: Sequence[str],
        samples: int,
        seed: int,
    ) -> None:
        self._load = partial(
            CalibratedClassifier.load, calibration_file, weights_file, classes=classes, samples=samples, seed=seed
        )

    @cached_property
    def classifier(self) -> CalibratedClassifier:
        """The classifier; reading it may raise as :meth:`CalibratedClassifier.load` does."""
        return self._load()

    def __call__(self, outputs: Mapping[str, torch.Tensor | ArrayLike]) -> dict[str, np.ndarray]:
        """Turn outputs into predictions; see :meth:`CalibratedClassifier.__call__`."""
        return self.classifier(outputs)


def _array(value: torch.Tensor | ArrayLike) -> np.ndarray:
    return value.detach().float().cpu().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)
