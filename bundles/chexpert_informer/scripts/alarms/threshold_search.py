"""The threshold of an alarm: the one with the highest validation F1 after flagged predictions were swapped.

Shu et al. (INFORMER), section 2, "Quality control alarm", and section 3, "Implementation". What the paper leaves open,
and how it is settled here:

- A finding is flagged where ``d_i < τ_i``, strictly; for doubts that grow, such as entropy, where they are above τ. In
  this module all doubts grow (INFORMER's is ``−d_i``), and flagged is ``doubt > τ``.
- Of several thresholds with the highest F1 the one that flags fewest predictions is taken: an alarm that gains nothing
  is not raised. So "flag nothing" (τ = ∞) is always a candidate, whatever the grid holds.
- The grid is 0, 0.001, 0.002, … up to the last multiple that does not exceed the largest value.
- A prediction whose label is unknown is left out of F1, one without a doubt (NaN) keeps its prediction.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shared.calibration.youden import midpoint
from shared.data.errors import DataError

__all__ = [
    "Swapped",
    "ThresholdSearch",
    "exact_threshold",
    "grid_threshold",
    "swapped_counts",
    "threshold_after",
    "threshold_from_json",
    "threshold_to_json",
]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ThresholdSearch:
    """What a search found for one finding.

    Attributes:
        threshold: flagged is doubt > threshold; ∞ if nothing is flagged, −∞ if everything with a doubt is.
        f1_before: F1 without the alarm.
        f1_after: F1 after flagged predictions were swapped, never below ``f1_before``.
        flagged: number of flagged predictions with a known label.
        undirected: number of predictions with a known label that have no doubt (NaN).
        n: number of samples with a known label.
        n_positive: those among them in which the finding is present.
    """

    threshold: float
    f1_before: float
    f1_after: float
    flagged: int
    undirected: int
    n: int
    n_positive: int

    def to_dict(self) -> dict[str, Any]:
        """Return what was found but for the threshold, as JSON types."""
        return {
            "f1_before": self.f1_before,
            "f1_after": self.f1_after,
            "flagged": self.flagged,
            "undirected": self.undirected,
            "n": self.n,
            "n_positive": self.n_positive,
        }


@dataclass(frozen=True)
class Swapped:
    """Counts after the predictions of the largest doubts were swapped, for every number of them that ties allow.

    Attributes:
        doubt: the G distinct doubts, descending.
        flagged: number of swapped predictions ``(G + 1,)``, from 0 on.
        hits: true positives after swapping, same shape.
        called: positive predictions after swapping, same shape.
        positive: number of positive samples.
        undirected: number of samples without a doubt.
        n: number of samples with a known label.
    """

    doubt: Floats
    flagged: NDArray[np.int64]
    hits: NDArray[np.int64]
    called: NDArray[np.int64]
    positive: int
    undirected: int
    n: int

    @property
    def f1(self) -> Floats:
        """F1 after swapping ``(G + 1,)``. Equal counts give equal floats, since a quotient is rounded correctly."""
        return 2 * self.hits / (self.positive + self.called)


def exact_threshold(
    doubt: ArrayLike, prediction: ArrayLike, label: ArrayLike, *, minimum_gain: float = 0.0
) -> ThresholdSearch:
    """Search all thresholds that make a difference, in O(N log N).

    Sorted by falling doubt, the flagged predictions are the first ones. F1 = 2 TP / (P + called) after each number of
    them follows from running sums: swapping adds ``y (1 − 2 ŷ)`` true positives and ``1 − 2 ŷ`` positive calls. The
    threshold lies in the middle between the last flagged doubt and the next.

    Args:
        doubt: larger is more doubtful, ``(N,)``; NaN where there is none.
        prediction: 0 or 1, ``(N,)``.
        label: 0, 1, or NaN where unknown, ``(N,)``.
        minimum_gain: nothing is flagged unless F1 gains more than this.

    Raises:
        DataError: if no sample is known to be positive, so that F1 says nothing.
        ValueError: if shapes differ or a value is not allowed.

    Example:
        >>> exact_threshold([0.1, 0.5, 0.6, 0.9], [1, 0, 1, 1], [1, 1, 1, 0]).threshold
        0.75
    """
    swapped = swapped_counts(doubt, prediction, label)
    f1 = swapped.f1
    best = int(f1.argmax())  # the first, which flags fewest
    if f1[best] - f1[0] <= minimum_gain:
        best = 0
    return _found(swapped, best, threshold_after(swapped.doubt, best))


def grid_threshold(
    doubt: ArrayLike, prediction: ArrayLike, label: ArrayLike, *, step: float = 0.001, minimum_gain: float = 0.0
) -> ThresholdSearch:
    """Search the paper's grid: multiples of ``step`` from 0 to the value farthest from 0.

    Args:
        doubt: as :func:`exact_threshold`; all of one sign (INFORMER's ``−d_i`` are not positive, entropies and standard
            deviations not negative), or there would be no grid that begins at 0.
        prediction: as :func:`exact_threshold`.
        label: as :func:`exact_threshold`.
        step: distance of two thresholds, above 0.
        minimum_gain: as :func:`exact_threshold`.

    Raises:
        DataError: as :func:`exact_threshold`.
        ValueError: as :func:`exact_threshold`, or if the doubts have both signs.
    """
    if not step > 0:
        raise ValueError(f"step must be above 0, found {step}")
    swapped = swapped_counts(doubt, prediction, label)
    values = swapped.doubt
    if values.size and values[0] > 0 > values[-1]:
        raise ValueError(
            f"the grid begins at 0, but doubts reach from {values[-1]:g} to {values[0]:g}; use the exact search"
        )
    reach = np.abs(values).max(initial=0.0)
    sign = -1.0 if values.size and values[-1] < 0 else 1.0
    # falling thresholds flag more and more
    grid = np.sort(sign * step * np.arange(int(np.floor(reach / step * (1 + 1e-12))) + 1))[::-1]
    groups = np.searchsorted(-values, -grid, side="left")  # distinct doubts above each threshold
    f1 = swapped.f1
    best = int(f1[groups].argmax())
    if f1[groups[best]] - f1[0] <= minimum_gain:
        return _found(swapped, 0, np.inf)
    return _found(swapped, int(groups[best]), float(grid[best]))


def swapped_counts(
    doubt: ArrayLike, prediction: ArrayLike, label: ArrayLike, *, require_positive: bool = True
) -> Swapped:
    """Count true positives and positive calls after swapping the most doubtful predictions.

    Args:
        doubt: as :func:`exact_threshold`.
        prediction: as :func:`exact_threshold`.
        label: as :func:`exact_threshold`.
        require_positive: whether samples without a positive one are refused; a part of the samples may have none.

    Raises:
        DataError: as :func:`exact_threshold`.
        ValueError: as :func:`exact_threshold`.
    """
    values, called, truth = _validated(doubt, prediction, label)
    known = ~np.isnan(truth)
    n_positive = int(truth[known].sum())
    if n_positive == 0 and require_positive:
        raise DataError(
            f"none of {int(known.sum())} known samples is positive: F1 says nothing, and no threshold is best"
        )
    directed = known & ~np.isnan(values)
    order = np.argsort(-values[directed], kind="stable")
    descending = values[directed][order]
    change = (1 - 2 * called[directed][order]).astype(np.int64)
    ends = np.flatnonzero(np.append(np.diff(descending) != 0, True)) if descending.size else np.array([], dtype=np.intp)
    hits = np.cumsum(change * truth[directed][order].astype(np.int64))[ends]
    return Swapped(
        doubt=descending[ends],
        flagged=np.concatenate([[0], ends + 1]),
        hits=int((truth[known] * called[known]).sum()) + np.concatenate([[0], hits]),
        called=int(called[known].sum()) + np.concatenate([[0], np.cumsum(change)[ends]]),
        positive=n_positive,
        undirected=int((known & np.isnan(values)).sum()),
        n=int(known.sum()),
    )


def _found(swapped: Swapped, groups: int, threshold: float) -> ThresholdSearch:
    return ThresholdSearch(
        threshold=threshold,
        f1_before=float(swapped.f1[0]),
        f1_after=float(swapped.f1[groups]),
        flagged=int(swapped.flagged[groups]),
        undirected=swapped.undirected,
        n=swapped.n,
        n_positive=swapped.positive,
    )


def threshold_after(descending: Floats, groups: int) -> float:
    """Return a threshold that the first ``groups`` distinct doubts exceed and the next does not."""
    if groups == 0:
        return np.inf
    if groups == len(descending):
        return -np.inf
    return midpoint(float(descending[groups]), float(descending[groups - 1]))


def threshold_to_json(threshold: float) -> float | str:
    """Return a threshold for JSON, which knows no infinity: ``never`` for ∞, ``always`` for −∞."""
    return {np.inf: "never", -np.inf: "always"}.get(threshold, float(threshold))


def threshold_from_json(value: float | str) -> float:
    """Read what :func:`threshold_to_json` wrote.

    Raises:
        DataError: if it is neither a finite number nor one of the two words.
    """
    if isinstance(value, str) and value in ("never", "always"):
        return np.inf if value == "never" else -np.inf
    if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
        raise DataError(f"an alarm's threshold must be a number, 'never' or 'always', found {value!r}")
    return float(value)


def _validated(doubt: ArrayLike, prediction: ArrayLike, label: ArrayLike) -> tuple[Floats, Floats, Floats]:
    values, called, truth = (np.asarray(part, dtype=np.float64) for part in (doubt, prediction, label))
    if values.ndim != 1 or values.shape != called.shape or values.shape != truth.shape:
        raise ValueError(
            f"expected doubt, prediction and label of one shape (N,), found {values.shape}, {called.shape} and "
            f"{truth.shape}"
        )
    if np.isinf(values).any():
        raise ValueError("doubts must be finite, or NaN where there is none")
    if not np.isin(called, (0.0, 1.0)).all():
        raise ValueError(f"predictions must be 0 or 1, found {called[~np.isin(called, (0.0, 1.0))][0]:g}")
    if not (np.isnan(truth) | np.isin(truth, (0.0, 1.0))).all():
        raise ValueError("labels must be 0, 1 or NaN (unknown)")
    return values, called, truth
