"""Multi-step thresholds: a threshold of the doubt for each step of confidence, all found together.

The paper's discussion (INFORMER, section 4) wishes for "a multi-step threshold approach" and says no more. Here each
finding's predictions are cut into steps by their calibrated probability. The decision threshold is always a cut, so
that no step mixes positive with negative calls; either side is cut again at quantiles. With one step a side, positive
and negative calls have a threshold each: INFORMER's single threshold must treat both alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scripts.alarms.doubt import DoubtSource, Informer
from scripts.alarms.doubt_table import Doubts
from scripts.alarms.threshold_search import (
    Swapped,
    ThresholdSearch,
    swapped_counts,
    threshold_after,
    threshold_from_json,
    threshold_to_json,
)
from shared.calibration.label_calibration import LabelCalibration
from shared.data.errors import DataError

__all__ = ["SteppedInformer", "fit_steps", "step_cuts", "step_thresholds"]

Floats = NDArray[np.float64]

# values of 2 Δhits − λ Δcalled that differ at all differ by at least 1 / (2 N)
DECIMALS = 9
MAXIMUM_ITERATIONS = 1000


@dataclass(frozen=True)
class SteppedInformer(DoubtSource):
    """INFORMER's doubt, above or below the threshold of the step that the prediction's probability lies in.

    Attributes:
        method: saliency method.
        cuts: by finding, ascending calibrated probabilities; step s holds those above s cuts, ``(K, S − 1)``.
        thresholds: by finding and step, thresholds of the doubt −d, ``(K, S)``; ∞ and −∞ as of
            :class:`~scripts.alarms.threshold_search.ThresholdSearch`.
    """

    kind = "steps"
    method: str = "lrp"
    cuts: tuple[tuple[float, ...], ...] = ()
    thresholds: tuple[tuple[float, ...], ...] = ()

    def doubt(self, table: Doubts, calibration: LabelCalibration) -> Floats:
        """Return the doubts less the thresholds of their steps: flagged is above 0; may be infinite."""
        doubts = Informer(self.method).doubt(table, calibration)
        probabilities = calibration.probabilities(table.logits)
        for index, (cuts, thresholds) in enumerate(zip(self.cuts, self.thresholds, strict=True)):
            doubts[:, index] -= np.asarray(thresholds)[np.searchsorted(cuts, probabilities[:, index])]
        return doubts

    def to_json(self) -> dict[str, Any]:
        """Return kind and fields as JSON types."""
        thresholds = [[threshold_to_json(value) for value in row] for row in self.thresholds]
        return super().to_json() | {"thresholds": thresholds}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> SteppedInformer:
        """Read what :meth:`to_json` wrote, without its kind."""
        thresholds = tuple(tuple(threshold_from_json(value) for value in row) for row in content["thresholds"])
        return cls(content["method"], tuple(tuple(map(float, row)) for row in content["cuts"]), thresholds)


def fit_steps(
    table: Doubts, calibration: LabelCalibration, method: str, *, per_side: int = 1, minimum_gain: float = 0.0
) -> tuple[SteppedInformer, dict[str, ThresholdSearch], dict[str, str]]:
    """Fit the cuts and thresholds of each finding.

    Args:
        table: the validation split.
        calibration: gives calibrated probabilities and predictions.
        method: saliency method.
        per_side: steps on either side of the decision threshold.
        minimum_gain: see :func:`~scripts.alarms.threshold_search.exact_threshold`.

    Returns:
        The source, what was found by finding, and by finding the reason why nothing was fitted; such a finding is
        never flagged.
    """
    doubts = Informer(method).doubt(table, calibration)
    probabilities, predictions = calibration.probabilities(table.logits), calibration.predictions(table.logits)
    cuts: list[tuple[float, ...]] = []
    thresholds: list[tuple[float, ...]] = []
    found: dict[str, ThresholdSearch] = {}
    reasons: dict[str, str] = {}
    for index, name in enumerate(table.classes):
        known = ~np.isnan(table.label[:, index])
        own = step_cuts(probabilities[known, index], float(calibration.thresholds[index]), per_side)
        step = np.searchsorted(own, probabilities[:, index])
        columns = doubts[:, index], predictions[:, index], table.label[:, index]
        limits: Sequence[float] = (np.inf,) * (len(own) + 1)
        try:
            limits, found[name] = step_thresholds(*columns, step=step, steps=len(own) + 1, minimum_gain=minimum_gain)
        except DataError as error:
            reasons[name] = str(error)
        cuts.append(own)
        thresholds.append(tuple(limits))
    return SteppedInformer(method, tuple(cuts), tuple(thresholds)), found, reasons


def step_cuts(probability: ArrayLike, threshold: float, per_side: int) -> tuple[float, ...]:
    """Return the cuts between steps: the decision threshold, and the quantiles on either side of it, ascending.

    Args:
        probability: calibrated, ``(N,)``.
        threshold: decision threshold; above it the finding is called present.
        per_side: steps on either side, at least 1; fewer where a side has too few distinct probabilities.
    """
    if per_side < 1:
        raise ValueError(f"at least one step is needed on either side of the decision threshold, found {per_side}")
    values = np.asarray(probability, dtype=np.float64)
    shares = np.arange(1, per_side) / per_side
    sides = [side for side in (values[values <= threshold], values[values > threshold]) if side.size]
    inner = np.concatenate([np.quantile(side, shares) for side in sides]) if sides else np.array([])
    return tuple(np.unique(np.append(inner, threshold)).tolist())


def step_thresholds(
    doubt: ArrayLike, prediction: ArrayLike, label: ArrayLike, step: ArrayLike, steps: int, *, minimum_gain: float = 0.0
) -> tuple[tuple[float, ...], ThresholdSearch]:
    """Find the thresholds of all steps that together have the highest F1 after swapping, exactly.

    F1 = 2 TP / (P + called) does not fall apart into steps, but ``max Σ_s (2 ΔTP_s − λ Δcalled_s)`` does, and at λ = F1
    its maximiser is the best choice (Dinkelbach 1967, "On nonlinear fractional programming"). λ rises to the F1 of the
    maximiser until it stays; each round is one maximum per step.

    Args:
        doubt: ``(N,)``, see :func:`~scripts.alarms.threshold_search.exact_threshold`.
        prediction: ``(N,)``.
        label: ``(N,)``.
        step: step of each sample, 0 … S − 1, ``(N,)``.
        steps: number of steps S.
        minimum_gain: nothing is flagged unless F1 gains more than this.

    Returns:
        A threshold per step, and what was found; its ``threshold`` is 0, to be compared with doubt less threshold.

    Raises:
        DataError: if no sample is known to be positive.
    """
    values, called, truth = (np.asarray(part, dtype=np.float64) for part in (doubt, prediction, label))
    number = np.asarray(step)
    whole = swapped_counts(values, called, truth)
    parts = [
        swapped_counts(values[own], called[own], truth[own], require_positive=False)
        for own in (number == index for index in range(steps))
    ]
    before = whole.f1[0]
    chosen, ratio = [0] * steps, before
    for _ in range(MAXIMUM_ITERATIONS):
        candidate = [_best(part, ratio) for part in parts]
        f1 = _f1(parts, candidate, whole.positive)
        if f1 <= ratio:
            # at the optimum the first maximisers flag fewest
            chosen = candidate if f1 == ratio else chosen
            break
        chosen, ratio = candidate, f1
    else:
        raise RuntimeError(f"the search for {steps} thresholds did not converge")
    if ratio - before <= minimum_gain:
        chosen = [0] * steps
    limits = tuple(threshold_after(part.doubt, groups) for part, groups in zip(parts, chosen, strict=True))
    search = ThresholdSearch(
        threshold=0.0,
        f1_before=float(before),
        f1_after=float(_f1(parts, chosen, whole.positive)),
        flagged=sum(int(part.flagged[groups]) for part, groups in zip(parts, chosen, strict=True)),
        undirected=whole.undirected,
        n=whole.n,
        n_positive=whole.positive,
    )
    return limits, search


def _best(part: Swapped, ratio: float) -> int:
    value = 2 * (part.hits - part.hits[0]) - ratio * (part.called - part.called[0])
    return int(value.round(DECIMALS).argmax())


def _f1(parts: Sequence[Swapped], chosen: Sequence[int], positive: int) -> float:
    hits = sum(int(part.hits[groups]) for part, groups in zip(parts, chosen, strict=True))
    called = sum(int(part.called[groups]) for part, groups in zip(parts, chosen, strict=True))
    return 2 * hits / (positive + called)
