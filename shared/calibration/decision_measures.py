"""What the decisions of an evaluation are worth: the wanted sensitivity on new cases, and the reading time saved.

Measures for :class:`shared.calibration.classifier_evaluation.ClassifierEvaluation`, under ``further``.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import confusion_matrix

from shared.calibration.output_collector import CollectedOutputs
from shared.data.errors import DataError
from shared.data.files import read_json
from shared.evaluation.binary import binary_metrics
from shared.evaluation.proportion import wilson_interval
from shared.evaluation.resampling_groups import group_records
from shared.evaluation.time_saving import SECONDS_PER_CASE, assumed_time_saving, measure_time_saving

__all__ = ["SensitivityCheck", "TimeSaving"]


class SensitivityCheck:
    """Whether the threshold that calibrating chose for a wanted sensitivity keeps its promise on the cases evaluated.

    Args:
        calibration_file: ``models/calibration.json``; read when called.
        resamples: bootstrap resamples.
        seed: seed of the bootstrap.
        group_key: key of a record whose values are resampled as wholes; ``None`` resamples single samples.
    """

    def __init__(
        self,
        calibration_file: str | os.PathLike[str],
        resamples: int = 1000,
        seed: int = 0,
        group_key: str | None = None,
    ) -> None:
        self.calibration_file = Path(calibration_file)
        self.bootstrap: dict[str, int] = {"resamples": resamples, "seed": seed}
        self.group_key = group_key

    def __call__(self, collected: CollectedOutputs) -> dict[str, Any] | None:
        """Measure.

        Args:
            collected: labelled records of two classes, with the columns of a calibrated classifier.

        Returns:
            What the calibration file says of the wanted ``sensitivity``; ``n_positive_here``; ``accepted_as_other``,
            the share of positive cases whose prediction of the other class was accepted, which no person looks at; and
            if there is a threshold, ``at_threshold``: ``sensitivity`` and ``specificity``, and the
            ``confusion_matrix`` of calling positive from the threshold on. ``None`` if no sensitivity was asked for.

        Raises:
            DataError: if the calibration file does not say whether one was.
        """
        fitted = _fitted(self.calibration_file, "sensitivity")
        if fitted is None:
            return None
        positive = _labels(collected) == 1
        columns = collected.outputs
        unseen = positive & (columns["decision"] == "accept") & (columns["prediction"] != 1)
        content: dict[str, Any] = {
            **fitted,
            "n_positive_here": int(positive.sum()),
            "accepted_as_other": _share(int(unseen.sum()), int(positive.sum())),
        }
        if fitted["threshold"] is None:
            return content
        scores = columns["probabilities"][:, 1]
        drawn = group_records(collected.records, self.group_key)
        # called positive above: the number just below the threshold lets the threshold itself be called
        just_below = float(np.nextafter(fitted["threshold"], -np.inf))
        rates = binary_metrics(positive, scores, just_below, **self.bootstrap, groups=drawn.groups, unit=drawn.by)
        return content | {
            "at_threshold": {name: rates[name] for name in ("sensitivity", "specificity")}
            | {"confusion_matrix": confusion_matrix(positive, scores > just_below, labels=[False, True]).tolist()}
        }


class TimeSaving:
    """Reading time that the decisions save, and what other error rates would save.

    Args:
        calibration_file: ``models/calibration.json``, whose ``deferral`` names confidences for further error rates;
            read when called.
        classes: class names.
        seconds_per_case: a person's time for a case.
        seconds_per_correction: what an accepted wrong answer costs later; a case's time if None.
        cases: number of cases that hours are stated for.
        resamples: bootstrap resamples.
        seed: seed of the bootstrap.
        group_key: key of a record whose values are resampled as wholes; ``None`` resamples single samples.
    """

    def __init__(
        self,
        calibration_file: str | os.PathLike[str],
        classes: Sequence[str],
        seconds_per_case: float = SECONDS_PER_CASE,
        seconds_per_correction: float | None = None,
        cases: int = 1000,
        resamples: int = 1000,
        seed: int = 0,
        group_key: str | None = None,
    ) -> None:
        self.calibration_file = Path(calibration_file)
        self.classes = list(classes)
        self.seconds_per_case = seconds_per_case
        self.cases = cases
        self.group_key = group_key
        self.options: dict[str, Any] = {
            "seconds": seconds_per_case,
            "correction": seconds_per_correction,
            "cases": cases,
            "resamples": resamples,
            "seed": seed,
        }

    def __call__(self, collected: CollectedOutputs) -> dict[str, Any]:
        """Measure.

        Args:
            collected: labelled records with the columns of a calibrated classifier.

        Returns:
            The settings; ``hours_alone``, a person's time for all ``cases``; ``error_rate`` of all answers; and as
            :func:`shared.evaluation.time_saving.measure_time_saving` gives it: ``decided``, of the decisions as taken;
            ``decided_as``, the same where only one class is accepted, by class; ``deferral``, for each ``target_risk``
            of the calibration file, of accepting what is not rejected from its ``threshold`` on. There,
            ``assumed_share`` is the share of time that the formula T = (1 − e) x N promises for that error rate.

        Raises:
            DataError: if the calibration file does not say anything of deferral.
        """
        columns = collected.outputs
        wrong = columns["prediction"] != _labels(collected)
        accepted, kept = columns["decision"] == "accept", columns["decision"] != "reject"
        options = self.options | {"groups": group_records(collected.records, self.group_key).groups}
        deferral = []
        for entry in _fitted(self.calibration_file, "deferral") or []:
            risk, threshold = entry["target_risk"], entry["threshold"]
            sure = kept & (columns["confidence"] >= (np.inf if threshold is None else threshold))
            deferral.append(
                {
                    "target_risk": risk,
                    "threshold": threshold,
                    "assumed_share": assumed_time_saving(risk, cases=1, seconds=1.0).saved,
                    **measure_time_saving(sure, wrong, **options),
                }
            )
        return {
            "seconds_per_case": self.seconds_per_case,
            "seconds_per_correction": (
                self.seconds_per_case if self.options["correction"] is None else self.options["correction"]
            ),
            "cases": self.cases,
            "hours_alone": self.cases * self.seconds_per_case / 3600,
            "error_rate": _share(int(wrong.sum()), len(wrong)),
            "decided": measure_time_saving(accepted, wrong, **options),
            "decided_as": {
                name: measure_time_saving(accepted & (columns["prediction"] == index), wrong, **options)
                for index, name in enumerate(self.classes)
            },
            "deferral": deferral,
        }


def _fitted(path: Path, key: str) -> Any:
    content = read_json(path)
    if not isinstance(content, Mapping) or key not in content:
        raise DataError(f"{path}: says nothing of {key!r}; run calibrating again")
    return content[key]


def _labels(collected: CollectedOutputs) -> np.ndarray:
    return np.array([record["label"] for record in collected.records])


def _share(count: int, total: int) -> dict[str, Any]:
    """Return a share with its Wilson interval."""
    if total == 0:
        return {"count": 0, "value": np.nan, "ci95": [np.nan, np.nan]}
    return {"count": count, "value": count / total, "ci95": [float(end) for end in wilson_interval(count, total)]}
