"""Fitting all alarms on the validation split: controls, rivals, INFORMER and its extensions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from scripts.alarms.doubt import (
    DoubtSource,
    Entropy,
    ErrorProbability,
    Informer,
    MaximumProbability,
    NoDoubt,
    RandomDoubt,
    Spread,
)
from scripts.alarms.doubt_table import Doubts
from scripts.alarms.fitted_alarm import FittedAlarm
from scripts.alarms.moved_threshold import MovedThreshold, fit_moved_threshold
from scripts.alarms.pair_classifier import MapFeature, ProbabilityFeature, fit_error_classifier
from scripts.alarms.steps import fit_steps
from scripts.alarms.threshold_search import (
    ThresholdSearch,
    exact_threshold,
    grid_threshold,
)
from shared.calibration.label_calibration import LabelCalibration
from shared.data.errors import DataError

__all__ = ["AlarmSettings", "FittedAlarm", "fit_alarms"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class AlarmSettings:
    """How alarms are fitted.

    Attributes:
        methods: saliency methods that INFORMER is fitted for; ``None`` for all that were collected.
        extended: methods that the extensions (steps, classifiers) are fitted for; ``None`` for all of ``methods``.
        search: ``exact``, or the paper's ``grid``.
        step: of the grid.
        minimum_gain: no threshold is set that gains no more validation F1 than this.
        per_side: steps on either side of the decision threshold, for the multi-step alarm.
        folds: of the cross-fitted classifiers.
        strength: of their penalty.
        seed: of folds and random doubts.
    """

    methods: Sequence[str] | None = None
    extended: Sequence[str] | None = None
    search: Literal["exact", "grid"] = "exact"
    step: float = 0.001
    minimum_gain: float = 0.0
    per_side: int = 1
    folds: int = 5
    strength: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.search not in ("exact", "grid"):
            raise ValueError(f"search must be exact or grid, found {self.search!r}")

    def best(self, doubt: Floats, prediction: Floats, label: Floats) -> ThresholdSearch:
        """Search the threshold of one finding."""
        if self.search == "grid":
            return grid_threshold(doubt, prediction, label, step=self.step, minimum_gain=self.minimum_gain)
        return exact_threshold(doubt, prediction, label, minimum_gain=self.minimum_gain)


# names of the cross-fitted alarms, and what their classifiers see of the maps and of the probability
CLASSIFIERS: Mapping[str, tuple[MapFeature, ProbabilityFeature]] = {
    "pair_classifier": ("pairs", "none"),
    "pair_classifier_entropy": ("pairs", "entropy"),
    "informer_entropy": ("distinctiveness", "entropy"),
    "informer_logit": ("distinctiveness", "logit"),
}


def fit_alarms(
    table: Doubts, calibration: LabelCalibration, settings: AlarmSettings | None = None
) -> dict[str, FittedAlarm]:
    """Fit every alarm on the validation split.

    These are the controls ``no_alarm``, ``random`` (a threshold searched on noise) and ``moved_threshold``; the rivals
    ``entropy`` (INFORMER, equation 2), ``calibrated_entropy``, ``maximum_probability``, ``error_probability``, and, as
    far as their draws were collected, ``test_time_augmentation`` and ``monte_carlo_dropout``; ``informer_<method>``;
    and for the extended methods ``informer_steps_<method>``, ``pair_classifier_<method>``,
    ``pair_classifier_entropy_<method>``, ``informer_entropy_<method>`` and ``informer_logit_<method>`` (the map's
    distinctiveness with the calibrated entropy or logit). All see the same images, and all thresholds are those of the
    highest F1 after swapping. A finding of which no image is known to be positive has none: it is never flagged, and
    ``not_fitted`` says so.

    Args:
        table: doubts of the validation split.
        calibration: calibrated probabilities and decision thresholds, fitted on the same split.
        settings: how; by default :class:`AlarmSettings`.

    Returns:
        Alarms by name, in that order.

    Raises:
        DataError: if a method was not collected.
    """
    chosen = settings or AlarmSettings()
    methods = list(table.distances) if chosen.methods is None else list(chosen.methods)
    extended = methods if chosen.extended is None else list(chosen.extended)
    sources: dict[str, DoubtSource] = {"no_alarm": NoDoubt(), "random": RandomDoubt(chosen.seed)}
    alarms = {name: _by_threshold(name, source, table, calibration, chosen) for name, source in sources.items()}
    alarms["moved_threshold"] = _moved_threshold(table, calibration, chosen)
    rivals: dict[str, DoubtSource] = {
        "entropy": Entropy(),
        "calibrated_entropy": Entropy(calibrated=True),
        "maximum_probability": MaximumProbability(),
        "error_probability": ErrorProbability(),
    }
    rivals |= {"test_time_augmentation": Spread("tta")} if table.tta_std is not None else {}
    rivals |= {"monte_carlo_dropout": Spread("mc")} if table.mc_std is not None else {}
    rivals |= {f"informer_{method}": Informer(method) for method in methods}
    alarms |= {name: _by_threshold(name, source, table, calibration, chosen) for name, source in rivals.items()}
    for method in extended:
        alarms[f"informer_steps_{method}"] = _steps(method, table, calibration, chosen)
        for prefix, (maps, probability) in CLASSIFIERS.items():
            name = f"{prefix}_{method}"
            source, doubts, reasons = fit_error_classifier(
                table,
                calibration,
                method,
                maps=maps,
                probability=probability,
                folds=chosen.folds,
                strength=chosen.strength,
                seed=chosen.seed,
            )
            alarms[name] = _by_threshold(name, source, table, calibration, chosen, doubts, reasons)
    return alarms


def _by_threshold(
    name: str,
    source: DoubtSource,
    table: Doubts,
    calibration: LabelCalibration,
    settings: AlarmSettings,
    doubts: Floats | None = None,
    reasons: Mapping[str, str] | None = None,
) -> FittedAlarm:
    values = source.doubt(table, calibration) if doubts is None else doubts
    predictions = calibration.predictions(table.logits).astype(np.float64)
    thresholds = np.full(len(table.classes), np.inf)
    found: dict[str, Any] = {}
    not_fitted = dict(reasons or {})
    for index, finding in enumerate(table.classes):
        if finding in not_fitted or isinstance(source, NoDoubt):
            continue
        try:
            search = settings.best(values[:, index], predictions[:, index], table.label[:, index])
        except DataError as error:
            not_fitted[finding] = str(error)
            continue
        thresholds[index], found[finding] = search.threshold, search.to_dict()
    return FittedAlarm(name, source, table.classes, thresholds, found, not_fitted)


def _moved_threshold(table: Doubts, calibration: LabelCalibration, settings: AlarmSettings) -> FittedAlarm:
    probabilities = calibration.probabilities(table.logits)
    moved = calibration.thresholds.tolist()
    found: dict[str, Any] = {}
    not_fitted: dict[str, str] = {}
    for index, finding in enumerate(table.classes):
        try:
            moved[index], search = fit_moved_threshold(
                probabilities[:, index], table.label[:, index], moved[index], minimum_gain=settings.minimum_gain
            )
        except DataError as error:
            not_fitted[finding] = str(error)
            continue
        found[finding] = search.to_dict()
    halves = np.full(len(table.classes), 0.5)
    return FittedAlarm("moved_threshold", MovedThreshold(tuple(moved)), table.classes, halves, found, not_fitted)


def _steps(method: str, table: Doubts, calibration: LabelCalibration, settings: AlarmSettings) -> FittedAlarm:
    source, searches, reasons = fit_steps(
        table, calibration, method, per_side=settings.per_side, minimum_gain=settings.minimum_gain
    )
    found = {name: search.to_dict() for name, search in searches.items()}
    zeros = np.zeros(len(table.classes))
    return FittedAlarm(f"informer_steps_{method}", source, table.classes, zeros, found, reasons)
