"""What calibrating fitted, applied: calibrated probabilities, predictions, alarms, and the reason of each in words."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from scripts.alarms.distinctiveness import distinctiveness
from scripts.alarms.doubt_table import Doubts
from scripts.alarms.fitted_alarm import FittedAlarm
from scripts.alarms.reasons import alarm_reasons
from shared.calibration.calibration_file import read_calibration
from shared.calibration.deferred import Deferred
from shared.calibration.label_calibration import LabelCalibration
from shared.data.errors import DataError

__all__ = ["Action", "DeferredInformer", "Findings", "InformerClassifier", "alarm_needs"]

Floats = NDArray[np.float64]
Action = Literal["defer", "swap"]


@dataclass(frozen=True)
class Findings:
    """What is said of N images and K findings.

    Attributes:
        probabilities: calibrated ``(N, K)``.
        predictions: 0 or 1, ``(N, K)``.
        confidence: probability of the prediction, corrected for chance: ``max(0, 2 q − 1)`` with q the calibrated
            probability of what is predicted; 0 where a low threshold calls present what is less likely than not.
        distinctiveness: ``(N, K)``, see :func:`scripts.alarms.distinctiveness.distinctiveness`.
        doubt: of the alarm that acts ``(N, K)``, NaN where there is none.
        flagged: by that alarm ``(N, K)``.
        after_alarm: predictions after the alarm ``(N, K)``; other than ``predictions`` only where it swaps.
        reasons: why, in words, ``(N, K)``.
    """

    probabilities: Floats
    predictions: NDArray[np.int64]
    confidence: Floats
    distinctiveness: Floats
    doubt: Floats
    flagged: NDArray[np.bool_]
    after_alarm: NDArray[np.int64]
    reasons: NDArray[np.object_]


@dataclass(frozen=True)
class InformerClassifier:
    """Calibration and alarms of one set of weights.

    Args:
        calibration: scale and decision threshold of each finding.
        alarms: by name.
        acting: name of the alarm that acts; the others are there to be compared with.
        action: what happens to a flagged prediction: it is left to a person (``defer``), or inverted as well
            (``swap``, which is how thresholds are searched).
        method: saliency method whose distinctiveness is told.
    """

    calibration: LabelCalibration
    alarms: Mapping[str, FittedAlarm]
    acting: str
    action: Action
    method: str

    def __post_init__(self) -> None:
        if self.acting not in self.alarms:
            raise DataError(f"alarm is {self.acting!r}, expected one of {', '.join(self.alarms)}")
        if self.action not in get_args(Action):
            raise DataError(f"alarm_action is {self.action!r}, expected one of {', '.join(get_args(Action))}")

    @classmethod
    def load(
        cls,
        calibration_file: str | os.PathLike[str],
        weights_file: str | os.PathLike[str],
        classes: Sequence[str],
        image_size: int,
    ) -> InformerClassifier:
        """Read the calibration of the weights in use.

        Args:
            calibration_file: ``models/calibration.json``.
            weights_file: the weights that predictions are made with.
            classes: names of the findings in the order of the logits.
            image_size: height and width in pixels of the network's input.

        Raises:
            DataError: if a file is missing or damaged, or was fitted for other weights, findings or images.
        """
        settings = {"classes": list(classes), "image_size": image_size}
        content = read_calibration(calibration_file, weights_file, settings)
        path = Path(calibration_file)
        try:
            acting = content["alarm"]
            return cls(
                calibration=LabelCalibration.from_json(content["label_calibration"]),
                alarms={name: FittedAlarm.from_json(name, entry) for name, entry in content["alarms"].items()},
                acting=acting["name"],
                action=acting["action"],
                method=acting["method"],
            )
        except DataError as error:
            raise DataError(f"{path}: {error}") from error
        except (KeyError, TypeError, AttributeError) as error:
            raise DataError(f"{path}: not what calibrating writes ({error!r}); run calibrating again") from error

    @property
    def alarm(self) -> FittedAlarm:
        """The alarm that acts."""
        return self.alarms[self.acting]

    def needs(self) -> set[str]:
        """Return what has to be collected of an image: methods and draws, see :func:`alarm_needs`."""
        return {self.method} | alarm_needs(self.alarm)

    def __call__(self, table: Doubts) -> Findings:
        """Judge the images of a table.

        Raises:
            DataError: if the table lacks what the alarm needs.
        """
        probabilities = self.calibration.probabilities(table.logits)
        predictions = self.calibration.predictions(table.logits)
        distances = table.method_distances(self.method)
        doubt = self.alarm.doubt(table, self.calibration)
        flagged = self.alarm.flags(doubt)
        said = np.where(predictions == 1, probabilities, 1 - probabilities)
        return Findings(
            probabilities=probabilities,
            predictions=predictions,
            confidence=np.clip(2 * said - 1, 0.0, 1.0),
            distinctiveness=distinctiveness(distances),
            doubt=doubt,
            flagged=flagged,
            after_alarm=np.where(flagged, 1 - predictions, predictions) if self.action == "swap" else predictions,
            reasons=self._reasons(probabilities, predictions, doubt, flagged, distances),
        )

    def _reasons(
        self,
        probabilities: Floats,
        predictions: NDArray[np.int64],
        doubt: Floats,
        flagged: NDArray[np.bool_],
        distances: Floats,
    ) -> NDArray[np.object_]:
        """Put into words why each prediction was made, and why it was flagged or not."""
        names = self.calibration.classes
        reasons = alarm_reasons(self.alarm, doubt)
        nearest = _nearest(distances)
        for (image, finding), called in np.ndenumerate(predictions):
            limit = self.calibration.thresholds[finding]
            side = "above" if called else "not above"
            said = f"probability {probabilities[image, finding]:.3f} is {side} {limit:.3f}"
            alarm = reasons[image, finding]
            if flagged[image, finding] and nearest[image, finding] >= 0:
                other = int(nearest[image, finding])
                alarm += (
                    f"; its map is most like that of {names[other]} (distance {distances[image, finding, other]:.3f})"
                )
            reasons[image, finding] = f"{'present' if called else 'absent'}: {said}; {alarm}"
        return reasons


class DeferredInformer(Deferred[InformerClassifier]):
    """A classifier that reads its files when it is first used.

    Args:
        calibration_file: see :meth:`InformerClassifier.load`, as all others.
        weights_file: see :meth:`InformerClassifier.load`.
        classes: see :meth:`InformerClassifier.load`.
        image_size: see :meth:`InformerClassifier.load`.
    """

    def __init__(
        self,
        calibration_file: str | os.PathLike[str],
        weights_file: str | os.PathLike[str],
        classes: Sequence[str],
        image_size: int,
    ) -> None:
        super().__init__(partial(InformerClassifier.load, calibration_file, weights_file, classes, image_size))

    def needs(self) -> set[str]:
        """See :meth:`InformerClassifier.needs`."""
        return self.classifier.needs()


def alarm_needs(alarm: FittedAlarm) -> set[str]:
    """Return the columns that an alarm is made of: its saliency method, ``tta_std`` or ``mc_std``."""
    method, draws = (getattr(alarm.source, name, None) for name in ("method", "draws"))
    return ({method} if method else set()) | ({f"{draws}_std"} if draws else set())


def _nearest(distances: Floats) -> NDArray[np.intp]:
    """Return which other finding's map is nearest ``(N, K)``; −1 where none has a direction."""
    others = distances.copy()
    others[:, np.arange(others.shape[1]), np.arange(others.shape[1])] = np.inf
    others = np.where(np.isnan(others), np.inf, others)
    return np.where(np.isinf(others.min(axis=2)), -1, others.argmin(axis=2))
