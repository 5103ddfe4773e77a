"""Handler that ends calibrating: probabilities, decision thresholds and alarms, in one file bound to the weights."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import numpy as np
from ignite.engine import Engine, Events

from scripts.alarms.alarm import AlarmSettings, fit_alarms
from scripts.alarms.doubt_table import Doubts
from scripts.alarms.fitted_alarm import FittedAlarm
from scripts.doubt_collector import collected_doubts
from scripts.informer_classifier import Action, InformerClassifier
from shared.calibration.calibration_file import write_calibration
from shared.calibration.label_calibration import LabelCalibration, Method, fit_label_calibration
from shared.calibration.output_collector import OutputCollector
from shared.data.errors import DataError
from shared.data.files import sha256_file
from shared.data.prepare_settings import PREPARED_WITH
from shared.evaluation.provenance import provenance

__all__ = ["DOUBTS_FILE", "InformerCalibration"]

DOUBTS_FILE = "validation_doubts.npz"


class InformerCalibration:
    """Ignite handler that fits on what an evaluation of the validation samples collected.

    In this order: the scale of each finding's logits, the decision threshold of its calibrated probability with the
    largest Youden index, and the thresholds of all alarms, which have the highest F1 after flagged predictions are
    swapped. Writes ``calibration.json``, and beside it ``validation_doubts.npz``, all that was fitted on.

    A finding that is present or absent in all validation images has no threshold and no alarm; the file and a warning
    say so.

    Args:
        collector: collects what :class:`scripts.doubt_collector.DoubtInferer` gives.
        classes: names of the findings in the order of the logits.
        image_size: height and width in pixels of the network's input.
        weights_file: the weights that are calibrated.
        calibration_file: the file to write.
        bundle: name of the bundle.
        alarm: name of the alarm that acts, see :func:`scripts.alarms.alarm.fit_alarms`; the others are compared with
            it.
        action: what happens to a prediction that it flags, see :class:`scripts.informer_classifier.InformerClassifier`.
        method: how logits are scaled, see :func:`shared.calibration.label_calibration.fit_label_calibration`.
        settings: of the alarms.
        seed: of the run.
        data_files: files to hash for the provenance: the datalist.
        prepared_with: settings that the data were prepared with, kept so that inferring can read raw data alike.

    Raises:
        DataError: when called, if there is no image, no such alarm, or nothing could be fitted to any finding.
    """

    def __init__(
        self,
        collector: OutputCollector,
        classes: Sequence[str],
        image_size: int,
        weights_file: str | os.PathLike[str],
        calibration_file: str | os.PathLike[str],
        bundle: str,
        alarm: str,
        action: Action = "defer",
        method: Method = "temperature",
        settings: AlarmSettings | None = None,
        seed: int = 0,
        data_files: Sequence[str | os.PathLike[str]] = (),
        prepared_with: Mapping[str, Any] | None = None,
    ) -> None:
        self.collector = collector
        self.classes = list(classes)
        self.image_size = image_size
        self.weights_file = Path(weights_file)
        self.calibration_file = Path(calibration_file)
        self.bundle = bundle
        self.alarm = alarm
        self.action: Action = action
        self.method: Method = method
        self.settings = settings or AlarmSettings(seed=seed)
        self.seed = seed
        self.data_files = list(data_files)
        self.prepared_with = prepared_with
        self.logger = logging.getLogger("InformerCalibration")

    def attach(self, engine: Engine) -> None:
        """Attach to an evaluator, behind the collector."""
        if not engine.has_event_handler(self, Events.COMPLETED):
            engine.add_event_handler(Events.COMPLETED, self)

    def __call__(self, _: Engine) -> None:
        """Fit and write."""
        if self.collector.collected is None:
            raise RuntimeError("the collector has nothing: list it before this handler")
        if idist.get_rank() != 0:
            return
        table = collected_doubts(self.collector.collected, self.classes)
        fitted = self.fit(table)
        doubts = self.calibration_file.with_name(DOUBTS_FILE)
        table.save(doubts)
        write_calibration(
            self.calibration_file,
            {
                "bundle": self.bundle,
                "weights_sha256": sha256_file(self.weights_file),
                "classes": self.classes,
                "image_size": self.image_size,
                "split": "validation",
                "n": len(table),
                "n_patients": len(np.unique(table.patient)),
                "label_calibration": fitted.calibration.to_json(),
                "alarm": {"name": fitted.acting, "action": fitted.action, "method": fitted.method},
                "alarms": {name: alarm.to_json() for name, alarm in fitted.alarms.items()},
                "doubts": {"file": doubts.name, "sha256": sha256_file(doubts)},
                PREPARED_WITH: self.prepared_with,
                "provenance": provenance(self.seed, self.data_files, [self.weights_file]),
            },
        )
        self.logger.info(f"{len(table)} images, alarm {fitted.acting} ({fitted.action}): wrote {self.calibration_file}")

    def fit(self, table: Doubts) -> InformerClassifier:
        """Fit everything to a table of doubts.

        Raises:
            DataError: see the class.
        """
        if not len(table):
            raise DataError("the datalist has no validation images; calibrating needs them")
        calibration = fit_label_calibration(
            table.logits, table.label, self.classes, method=self.method, undetermined="record"
        )
        if len(calibration.undetermined) == len(self.classes):
            reasons = "; ".join(f"{name}: {reason}" for name, reason in calibration.undetermined.items())
            raise DataError(f"no finding can be calibrated on {len(table)} validation images: {reasons}")
        self._warn(calibration)
        alarms = fit_alarms(table, calibration, self.settings)
        if self.alarm not in alarms:
            raise DataError(f"alarm is {self.alarm!r}, expected one of {', '.join(alarms)}")
        return InformerClassifier(
            calibration, alarms, self.alarm, self.action, _told_method(alarms[self.alarm], list(table.distances))
        )

    def _warn(self, calibration: LabelCalibration) -> None:
        for name, reason in calibration.undetermined.items():
            self.logger.warning(f"validation: {name} is not calibrated, its threshold is 0.5: {reason}")
        for name, fits in calibration.fits.items():
            for caveat in fits.get("caveats", ()):
                self.logger.warning(f"validation: {name}: {caveat}")


def _told_method(alarm: FittedAlarm, methods: Sequence[str]) -> str:
    """Return the saliency method whose distinctiveness is told: the alarm's, or else the first."""
    own = str(getattr(alarm.source, "method", ""))
    return own if own in methods else methods[0]
