"""What fitted alarms make of a set of images, and such results of several folds or seeds put together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit
from scipy.stats import rankdata

from scripts.alarms.alarm import FittedAlarm
from scripts.alarms.doubt_table import Doubts
from shared.calibration.label_calibration import LabelCalibration
from shared.data.errors import DataError

__all__ = ["AppliedAlarms", "apply_alarms", "pool_alarms"]

Floats = NDArray[np.float64]

SMALLEST = np.finfo(np.float64).tiny
LARGEST_BELOW_ONE = 1 - np.finfo(np.float64).epsneg


@dataclass(frozen=True)
class AppliedAlarms:
    """Predictions of N images and K findings, and what each alarm says of them.

    Attributes:
        classes: names of the findings.
        id: name of each image ``(N,)``.
        patient: patient of each image ``(N,)``.
        label: 0, 1, or NaN where unknown, ``(N, K)``.
        prediction: 0 or 1 before any alarm, ``(N, K)``.
        probability: calibrated, ``(N, K)``.
        margin: calibrated logit less that of the decision threshold ``(N, K)``: positive where the prediction is.
        flags: by alarm, which predictions it flags ``(N, K)``.
        doubts: by alarm that puts predictions in an order, its doubts ``(N, K)``; NaN where there is none.
    """

    classes: tuple[str, ...]
    id: NDArray[np.str_]
    patient: NDArray[np.str_]
    label: Floats
    prediction: Floats
    probability: Floats
    margin: Floats
    flags: Mapping[str, NDArray[np.bool_]]
    doubts: Mapping[str, Floats]

    def swapped(self, alarm: str) -> Floats:
        """Return the predictions after those that an alarm flags were inverted ``(N, K)``."""
        return np.where(self.flags[alarm], 1 - self.prediction, self.prediction)


def apply_alarms(alarms: Mapping[str, FittedAlarm], calibration: LabelCalibration, table: Doubts) -> AppliedAlarms:
    """Apply alarms to images that they were not fitted on.

    Args:
        alarms: fitted alarms by name.
        calibration: what they were fitted with.
        table: the images' doubts.

    Raises:
        DataError: if the table lacks what an alarm needs, or the findings differ.
    """
    doubts = {name: alarm.doubt(table, calibration) for name, alarm in alarms.items()}
    prediction = calibration.predictions(table.logits).astype(np.float64)
    limit = logit(np.clip(calibration.thresholds, SMALLEST, LARGEST_BELOW_ONE))
    margin = calibration.logits(table.logits) - limit
    # rounding must not put a margin on the other side of its decision
    margin = np.where(prediction == 1, np.maximum(margin, SMALLEST), np.minimum(margin, -SMALLEST))
    return AppliedAlarms(
        classes=table.classes,
        id=table.id,
        patient=table.patient,
        label=table.label,
        prediction=prediction,
        probability=calibration.probabilities(table.logits),
        margin=margin,
        flags={name: alarm.flags(doubts[name]) for name, alarm in alarms.items()},
        doubts={name: doubts[name] for name, alarm in alarms.items() if alarm.source.ranks},
    )


def pool_alarms(parts: Sequence[AppliedAlarms]) -> AppliedAlarms:
    """Put results of several folds or seeds together, each with the alarms of its own model.

    Flags are comparable, doubts are not: another model's distances have another scale. So each part's doubts become
    their ranks within the part, in (0, 1).

    Args:
        parts: results of the same alarms and findings, of different images.

    Raises:
        DataError: if alarms or findings differ, or an image is in two parts.
    """
    if not parts:
        raise DataError("no results to put together")
    first = parts[0]
    for part in parts[1:]:
        if part.classes != first.classes or [*part.flags] != [*first.flags]:
            raise DataError(
                f"results of different alarms cannot be put together: {[*first.flags]} of {first.classes} and "
                f"{[*part.flags]} of {part.classes}"
            )
    names = np.concatenate([part.id for part in parts])
    if len(np.unique(names)) != len(names):
        raise DataError(f"{len(names) - len(np.unique(names))} images are in two parts; an image is tested once")
    joined = {
        key: np.concatenate([getattr(part, key) for part in parts])
        for key in ("label", "prediction", "probability", "margin")
    }
    return AppliedAlarms(
        classes=first.classes,
        id=names,
        patient=np.concatenate([part.patient for part in parts]),
        flags={name: np.concatenate([part.flags[name] for part in parts]) for name in first.flags},
        doubts={name: np.concatenate([_ranks(part.doubts[name]) for part in parts]) for name in first.doubts},
        **joined,
    )


def _ranks(doubts: Floats) -> Floats:
    """Return mid-ranks within each column, less ½ and divided by the number of rows; NaN stays NaN."""
    return np.asarray((rankdata(doubts, axis=0, nan_policy="omit") - 0.5) / len(doubts))
