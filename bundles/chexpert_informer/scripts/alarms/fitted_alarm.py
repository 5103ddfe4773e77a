"""A fitted alarm: where its doubts come from, and above which doubt a prediction of each finding is flagged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

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
from scripts.alarms.moved_threshold import MovedThreshold
from scripts.alarms.pair_classifier import ErrorClassifier
from scripts.alarms.steps import SteppedInformer
from scripts.alarms.threshold_search import threshold_from_json, threshold_to_json
from shared.calibration.label_calibration import LabelCalibration
from shared.data.errors import DataError

__all__ = ["SOURCES", "FittedAlarm"]

Floats = NDArray[np.float64]

_KINDS: tuple[type[DoubtSource], ...] = (
    NoDoubt,
    RandomDoubt,
    Entropy,
    MaximumProbability,
    ErrorProbability,
    Spread,
    Informer,
    MovedThreshold,
    SteppedInformer,
    ErrorClassifier,
)
SOURCES: Mapping[str, type[DoubtSource]] = {source.kind: source for source in _KINDS}


@dataclass(frozen=True)
class FittedAlarm:
    """A source of doubt with a threshold for each finding: flagged is ``doubt > threshold``.

    Applied by *swapping*, flagged predictions are inverted; by *deferring*, they are left to a person.

    Attributes:
        name: what the alarm is called in files.
        source: gives the doubts.
        classes: names of the K findings.
        thresholds: ``(K,)``; ∞ never flags, −∞ flags whatever has a doubt.
        found: by finding, what the search found on the validation split, ready for JSON.
        not_fitted: by finding, why there is no threshold; such a finding is never flagged.
    """

    name: str
    source: DoubtSource
    classes: tuple[str, ...]
    thresholds: Floats
    found: Mapping[str, Any] = field(default_factory=dict)
    not_fitted: Mapping[str, str] = field(default_factory=dict)

    def doubt(self, table: Doubts, calibration: LabelCalibration) -> Floats:
        """Return the doubts ``(N, K)``; NaN where there is none.

        Raises:
            DataError: if the table is of other findings, or lacks what the alarm needs.
        """
        if table.classes != self.classes or calibration.classes != self.classes:
            raise DataError(
                f"alarm {self.name} was fitted for {self.classes}; found doubts of {table.classes} and a calibration "
                f"of {calibration.classes}"
            )
        return self.source.doubt(table, calibration)

    def flags(self, doubt: Floats) -> NDArray[np.bool_]:
        """Return which predictions are flagged ``(N, K)``; one without a doubt (NaN) never is."""
        return np.asarray(doubt > self.thresholds)

    def to_json(self) -> dict[str, Any]:
        """Return JSON types."""
        return {
            "source": self.source.to_json(),
            "thresholds": {
                name: threshold_to_json(value)
                for name, value in zip(self.classes, self.thresholds.tolist(), strict=True)
            },
            "found": dict(self.found),
            "not_fitted": dict(self.not_fitted),
        }

    @classmethod
    def from_json(cls, name: str, content: Mapping[str, Any]) -> FittedAlarm:
        """Read what :meth:`to_json` wrote.

        Raises:
            DataError: if a key is missing, or the kind of source or a threshold is none that is known.
        """
        try:
            source = dict(content["source"])
            kind = source.pop("kind")
            thresholds = content["thresholds"]
            if kind not in SOURCES:
                raise DataError(f"alarm {name}: source kind {kind!r} is not one of {', '.join(SOURCES)}")
            return cls(
                name=name,
                source=SOURCES[kind].from_json(source),
                classes=tuple(thresholds),
                thresholds=np.array([threshold_from_json(value) for value in thresholds.values()]),
                found=dict(content.get("found", {})),
                not_fitted=dict(content.get("not_fitted", {})),
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise DataError(f"alarm {name}: not what calibrating writes ({error!r}); run calibrating again") from error
