"""The control that every alarm must beat: another decision threshold, and no alarm at all.

An alarm that depends on the probability alone, entropy for one, can only exchange intervals of probability for one
another: swapping the predictions whose entropy exceeds τ calls present what lies above the decision threshold θ outside
``(½ − δ, ½ + δ)``, and inside it what lies below θ. Where the threshold lies at an edge of the interval this *is* a
moved threshold, from ½ − δ to ½ + δ or back; elsewhere it is a rule that no monotone relation between probability and
finding can make better than the best threshold. So an alarm is worth something only beyond that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scripts.alarms.doubt import DoubtSource
from scripts.alarms.doubt_table import Doubts
from scripts.alarms.threshold_search import ThresholdSearch, swapped_counts
from shared.calibration.label_calibration import LabelCalibration
from shared.calibration.youden import midpoint

__all__ = ["MovedThreshold", "fit_moved_threshold"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class MovedThreshold(DoubtSource):
    """Flags exactly the predictions that another decision threshold would make the other way round.

    Attributes:
        thresholds: calibrated probability above which each finding is called present after swapping, ``(K,)``.
    """

    kind = "moved_threshold"
    ranks = False
    thresholds: tuple[float, ...] = ()

    def doubt(self, table: Doubts, calibration: LabelCalibration) -> Floats:
        """Return 1 where the two thresholds disagree and 0 elsewhere; flagged is above ½."""
        moved = calibration.probabilities(table.logits) > np.asarray(self.thresholds)
        return (moved != (calibration.predictions(table.logits) == 1)).astype(np.float64)

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> MovedThreshold:  # type: ignore[override]
        """Read what :meth:`to_json` wrote, without its kind."""
        return cls(thresholds=tuple(float(value) for value in content["thresholds"]))


def fit_moved_threshold(
    probability: ArrayLike, label: ArrayLike, threshold: float, *, minimum_gain: float = 0.0
) -> tuple[float, ThresholdSearch]:
    """Find the decision threshold with the highest F1, among all that make a difference.

    Args:
        probability: ``(N,)``.
        label: 0, 1, or NaN where unknown, ``(N,)``.
        threshold: the decision threshold so far. It stays if F1 gains no more than ``minimum_gain``.
        minimum_gain: see :func:`~scripts.alarms.threshold_search.exact_threshold`.

    Returns:
        The threshold, in [0, 1], and F1 before and after; ``flagged`` counts the predictions that change. Of several
        best thresholds the one that changes fewest predictions is taken.

    Raises:
        DataError: if no sample is known to be positive.
    """
    score, truth = np.asarray(probability, dtype=np.float64), np.asarray(label, dtype=np.float64)
    # nobody called, then from the most probable on: "swapping" the largest scores
    swept = swapped_counts(score, np.zeros_like(score), truth)
    known = ~np.isnan(truth)
    before = score[known] > threshold
    denominator = swept.positive + int(before.sum())
    f1_before = 2 * int((before & (truth[known] == 1)).sum()) / denominator
    # called are the swept.flagged most probable ones, so many more or fewer than before
    changed = np.abs(swept.flagged - int(before.sum()))
    f1 = swept.f1
    best = int(np.lexsort((changed, -f1))[0])
    if f1[best] - f1_before <= minimum_gain:
        return threshold, ThresholdSearch(threshold, f1_before, f1_before, 0, 0, swept.n, swept.positive)
    if best == 0:
        found = 1.0
    elif best == len(swept.doubt):
        found = 0.0
    else:
        found = midpoint(float(swept.doubt[best]), float(swept.doubt[best - 1]))
    search = ThresholdSearch(found, f1_before, float(f1[best]), int(changed[best]), 0, swept.n, swept.positive)
    return found, search
