"""From a network's raw outputs to calibrated probabilities, confidence and a decision with its reason."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike

from shared.calibration.calibration_file import read_calibration
from shared.calibration.confidence import chance_corrected_confidence
from shared.calibration.decision import decide, defer_possible_misses
from shared.calibration.deferred import Deferred
from shared.calibration.outlier_detector import OutlierDetector
from shared.calibration.sample_summary import summarise
from shared.calibration.temperature import apply_temperature
from shared.data.errors import DataError

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
        accept_confidence: defer below; infinite if calibrating found no confidence with the target risk.
        detector: fitted outlier detector.
        passed_on: names of outputs ``(N,)`` that become columns of the predictions file as they are.
        scores: names of the outlier scores that are computed: those that decide, and those to be written beside them.
            ``None`` for all.
        sensitivity_threshold: of two classes, the probability of the second below which a prediction of the first is
            accepted; minus infinity if calibrating found none, ``None`` if no sensitivity was asked for.

    Raises:
        KeyError: when called, if an output that is to be passed on is missing.
        ValueError: when called, if the logits have another number of classes or a value is not finite.
    """

    classes: tuple[str, ...]
    temperature: float
    minimum_confidence: float
    accept_confidence: float
    detector: OutlierDetector
    passed_on: tuple[str, ...] = ()
    scores: tuple[str, ...] | None = None
    sensitivity_threshold: float | None = None

    @classmethod
    def load(
        cls,
        calibration_file: str | os.PathLike[str],
        weights_file: str | os.PathLike[str],
        *,
        classes: Sequence[str],
        samples: int,
        seed: int,
        passed_on: Sequence[str] = (),
        further_scores: Sequence[str] | None = None,
    ) -> CalibratedClassifier:
        """Read the calibration of the weights in use.

        Args:
            calibration_file: ``models/calibration.json``.
            weights_file: the weights that predictions are made with.
            classes: class names in the order of the logits.
            samples: Monte Carlo samples that predictions are made with.
            seed: seed of their masks.
            passed_on: names of outputs that become columns of the predictions file as they are.
            further_scores: names of the outlier scores that are computed beside those that decide; ``None`` for all.

        Raises:
            DataError: if a file is missing or damaged, the calibration was fitted for other weights, classes, samples
                or masks, or there is no such score.
        """
        settings = {"classes": list(classes), "monte_carlo": {"samples": samples, "seed": seed}}
        content = read_calibration(calibration_file, weights_file, settings)
        path = Path(calibration_file)
        temperature = _number(content, "temperature", "value", path)
        minimum = _number(content, "confidence", "minimum", path)
        accept = _number(content, "confidence", "accept", path, null=math.inf)
        if not (temperature > 0 and 0 <= minimum <= accept):
            raise DataError(
                f"{path}: temperature {temperature:g}, confidence.minimum {minimum:g} and confidence.accept {accept:g} "
                "must be above 0, at least 0 and at least the minimum; run calibrating again"
            )
        try:
            name, sha256 = (str(content["outlier"][key]) for key in ("statistics", "statistics_sha256"))
        except (KeyError, TypeError) as error:
            raise DataError(f"{path}: outlier names no statistics ({error!r}); run calibrating again") from error
        detector = OutlierDetector.load(path.parent / Path(name).name, sha256=sha256)
        if unknown := set(further_scores or ()) - set(detector.scores):
            raise DataError(
                f"{path}: no outlier score is called {' or '.join(sorted(unknown))}; choose from "
                f"{', '.join(detector.scores)}"
            )
        return cls(
            classes=tuple(classes),
            temperature=temperature,
            minimum_confidence=minimum,
            accept_confidence=accept,
            # the threshold that people read is the one that decides
            detector=replace(detector, threshold=_number(content, "outlier", "threshold", path)),
            passed_on=tuple(passed_on),
            scores=None if further_scores is None else tuple(dict.fromkeys([*detector.members, *further_scores])),
            sensitivity_threshold=(
                None
                if content.get("sensitivity") is None
                else _number(content, "sensitivity", "threshold", path, null=-math.inf)
            ),
        )

    def __call__(self, outputs: Mapping[str, torch.Tensor | ArrayLike]) -> dict[str, np.ndarray]:
        """Turn outputs into predictions.

        Args:
            outputs: what the inferer returned: ``logits`` ``(N, S, K)`` and whatever the outlier detector needs.

        Returns:
            Arrays with N rows: ``probabilities`` and ``uncalibrated_probabilities`` (T = 1) ``(N, K)``, ``prediction``
            (class index), ``confidence``, ``decision``, ``reason``, ``outlier_score``, one column
            ``outlier_<name>`` for each score that is computed, and the Monte Carlo summary: ``median``,
            ``standard_deviation`` (both ``(N, K)``), ``predictive_entropy``, ``mutual_information``. What is passed on
            has the prefix ``extra_``.
        """
        arrays = {name: _array(value) for name, value in outputs.items()}
        logits = arrays["logits"]
        if logits.shape[-1] != len(self.classes):
            raise ValueError(f"expected logits of the classes {', '.join(self.classes)}, found shape {logits.shape}")
        summary = summarise(logits, self.temperature)
        confidence = chance_corrected_confidence(summary.mean)
        scores = self.detector.member_scores(arrays, self.scores)
        score = self.detector.combine(scores)
        decisions = decide(
            confidence,
            score,
            minimum_confidence=self.minimum_confidence,
            accept_confidence=self.accept_confidence,
            outlier_threshold=self.detector.threshold,
        )
        prediction = summary.mean.argmax(axis=1)
        if self.sensitivity_threshold is not None:
            decisions = defer_possible_misses(
                decisions,
                summary.mean[:, 1],
                prediction == 1,
                threshold=self.sensitivity_threshold,
                name=self.classes[1],
            )
        return {
            "probabilities": summary.mean,
            "uncalibrated_probabilities": apply_temperature(logits, 1.0),
            "prediction": prediction,
            "confidence": confidence,
            "decision": np.array([decision for decision, _ in decisions], dtype=object),
            "reason": np.array([reason for _, reason in decisions], dtype=object),
            "outlier_score": score,
            **{f"outlier_{name}": values for name, values in scores.items()},
            "median": summary.median,
            "standard_deviation": summary.standard_deviation,
            "predictive_entropy": summary.predictive_entropy,
            "mutual_information": summary.mutual_information,
            **{f"extra_{name}": arrays[name] for name in self.passed_on},
        }


class DeferredClassifier(Deferred[CalibratedClassifier]):
    """A calibrated classifier that reads its files when it is first used.

    Args:
        calibration_file: see :meth:`CalibratedClassifier.load`, as all others.
        weights_file: see :meth:`CalibratedClassifier.load`.
        classes: see :meth:`CalibratedClassifier.load`.
        samples: see :meth:`CalibratedClassifier.load`.
        seed: see :meth:`CalibratedClassifier.load`.
        passed_on: see :meth:`CalibratedClassifier.load`.
        further_scores: see :meth:`CalibratedClassifier.load`.
    """

    def __init__(
        self,
        calibration_file: str | os.PathLike[str],
        weights_file: str | os.PathLike[str],
        classes: Sequence[str],
        samples: int,
        seed: int,
        passed_on: Sequence[str] = (),
        further_scores: Sequence[str] | None = None,
    ) -> None:
        super().__init__(
            partial(
                CalibratedClassifier.load,
                calibration_file,
                weights_file,
                classes=classes,
                samples=samples,
                seed=seed,
                passed_on=passed_on,
                further_scores=further_scores,
            )
        )


def _array(value: torch.Tensor | ArrayLike) -> np.ndarray:
    return value.detach().float().cpu().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)


def _number(content: Mapping[str, Any], part: str, key: str, path: Path, null: float | None = None) -> float:
    """Return a finite number of the calibration file, or ``null`` where the file may say null."""
    try:
        value = content[part][key]
    except (KeyError, TypeError) as error:
        raise DataError(f"{path}: {part}.{key} is missing; run calibrating again") from error
    if value is None and null is not None:
        return null
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise DataError(f"{path}: {part}.{key} is {value!r}, expected a finite number; run calibrating again")
    return float(value)
