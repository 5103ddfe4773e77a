"""From the results of several networks to one set of tested images, each with the alarms of its own network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scripts.alarms.alarm import fit_alarms
from scripts.alarms.applied import AppliedAlarms, apply_alarms, pool_alarms
from scripts.alarms.doubt_table import Doubts
from scripts.alarms.fitted_alarm import FittedAlarm
from scripts.findings import FINDINGS
from scripts.study.doubting import doubts_from
from scripts.study.grid import Run
from scripts.study.settings import StudySettings
from scripts.study.workshop import Workshop
from shared.calibration.label_calibration import LabelCalibration, fit_label_calibration

__all__ = ["FittedNetwork", "Pooled", "fit_network", "pool_runs"]


@dataclass(frozen=True)
class FittedNetwork:
    """Calibration and alarms of one network, fitted on its validation images.

    Attributes:
        calibration: probabilities and decision thresholds.
        alarms: by name.
    """

    calibration: LabelCalibration
    alarms: Mapping[str, FittedAlarm]

    def applied(self, table: Doubts) -> AppliedAlarms:
        """Return what the alarms make of other images."""
        return apply_alarms(self.alarms, self.calibration, table)


@dataclass(frozen=True)
class Pooled:
    """The tested images of several networks.

    Attributes:
        parts: of each network, images named so that none is in two parts.
        applied: all parts together.
    """

    parts: Sequence[AppliedAlarms]
    applied: AppliedAlarms

    @property
    def part(self) -> NDArray[np.int64]:
        """Number of each image's part ``(N,)``."""
        return np.repeat(np.arange(len(self.parts)), [len(part.id) for part in self.parts])


def fit_network(validation: Doubts, settings: StudySettings) -> FittedNetwork:
    """Fit calibration and alarms, as calibrating does."""
    calibration = fit_label_calibration(
        validation.logits, validation.label, FINDINGS, method=settings.scaling, undetermined="record"
    )
    return FittedNetwork(calibration, fit_alarms(validation, calibration, settings.alarms))


def pool_runs(workshop: Workshop, runs: Sequence[Run]) -> Pooled:
    """Apply each network's alarms to its own test images, and put the images together.

    A real patient who is tested in several repeats stays one patient, so that a bootstrap draws all tests together;
    phantom patients of different seeds are different.
    """
    parts = [_renamed(_tested(workshop.result(run), workshop.settings), run) for run in runs]
    return Pooled(parts, pool_alarms(parts))


def _tested(result: Mapping[str, NDArray[Any]], settings: StudySettings) -> AppliedAlarms:
    fitted = fit_network(doubts_from(result, "validation"), settings)
    return fitted.applied(doubts_from(result, "test"))


def _renamed(applied: AppliedAlarms, run: Run) -> AppliedAlarms:
    names = np.char.add(f"{run.key}/", applied.id)
    patients = applied.patient if run.experiment == "real" else np.char.add(f"{run.key}/", applied.patient)
    return replace(applied, id=names, patient=patients)
