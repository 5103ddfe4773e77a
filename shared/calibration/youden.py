"""The decision threshold with the largest Youden index, found among all that make a difference."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from shared.data.errors import DataError

__all__ = ["YoudenFit", "fit_youden", "midpoint"]


@dataclass(frozen=True)
class YoudenFit:
    """Result of :func:`fit_youden`.

    Attributes:
        threshold: a sample is called positive if its score is above this.
        index: sensitivity + specificity − 1 at the threshold, on the samples fitted on.
        sensitivity: there.
        specificity: there.
        n: number of samples with a known label.
        n_positive: those among them in which the label is present.
    """

    threshold: float
    index: float
    sensitivity: float
    specificity: float
    n: int
    n_positive: int

    def to_dict(self) -> dict[str, Any]:
        """Return the fit as JSON types."""
        return asdict(self)

    @property
    def caveat(self) -> str | None:
        """What to know of a threshold that is no better than chance, as a sentence; ``None`` for any other."""
        if self.index > 0:
            return None
        return (
            f"no threshold is better than chance on {self.n} samples with {self.n_positive} positive "
            f"(Youden index {self.index:.3g}): check the weights and the order of the classes"
        )


def fit_youden(scores: ArrayLike, labels: ArrayLike) -> YoudenFit:
    """Maximise sensitivity + specificity − 1 (Youden 1950) over all thresholds between two distinct scores.

    The threshold lies in the middle of its gap. Of several with the same index, the one with sensitivity and
    specificity closest to one another is taken, and of these the lowest, which finds more.

    Args:
        scores: larger where the label is more likely, ``(N,)``.
        labels: 0, 1, or NaN where unknown, ``(N,)``; unknown samples are left out.

    Raises:
        DataError: if shapes differ, a score is not finite, a label is not allowed, one class has no known sample, or
            all scores are equal.

    Example:
        >>> fit = fit_youden([0.1, 0.2, 0.4, 0.6, 0.9], [0, 0, 1, 0, 1])
        >>> round(fit.threshold, 2), round(fit.index, 3)
        (0.3, 0.667)
    """
    score, label = np.asarray(scores, dtype=np.float64), np.asarray(labels, dtype=np.float64)
    if score.ndim != 1 or score.shape != label.shape:
        raise DataError(f"expected scores and labels of one shape (N,), found {score.shape} and {label.shape}")
    if not np.isfinite(score).all():
        raise DataError(f"scores must be finite, found {score[~np.isfinite(score)][0]} in row {_first_bad(score)}")
    allowed = np.isnan(label) | (label == 0) | (label == 1)
    if not allowed.all():
        raise DataError(f"labels must be 0, 1 or NaN (unknown), found {label[~allowed][0]:g}")
    known = ~np.isnan(label)
    score, label = score[known], label[known]
    n_positive = int(label.sum())
    n_negative = len(label) - n_positive
    if min(n_positive, n_negative) == 0:
        raise DataError(f"{n_positive} positive and {n_negative} negative samples are known; both are needed")
    order = np.argsort(score, kind="stable")
    ascending, positive = score[order], label[order]
    ends = np.flatnonzero(np.diff(ascending) != 0)  # last sample below each gap
    if ends.size == 0:
        raise DataError(f"all {len(score)} scores are {score[0]:g}; check the network and its input")
    sensitivity = 1 - positive.cumsum()[ends] / n_positive
    specificity = (1 - positive).cumsum()[ends] / n_negative
    # counts decide, so that equal indices are equal whatever their rounding
    index = (1 - positive).cumsum()[ends] * n_positive - positive.cumsum()[ends] * n_negative
    imbalance = np.abs((n_positive - positive.cumsum()[ends]) * n_negative - (1 - positive).cumsum()[ends] * n_positive)
    best = int(np.lexsort((np.arange(len(ends)), imbalance, -index))[0])
    return YoudenFit(
        threshold=midpoint(float(ascending[ends[best]]), float(ascending[ends[best] + 1])),
        index=float(index[best] / (n_positive * n_negative)),
        sensitivity=float(sensitivity[best]),
        specificity=float(specificity[best]),
        n=len(score),
        n_positive=n_positive,
    )


def midpoint(low: float, high: float) -> float:
    """Return a number t with ``low <= t < high``: the middle, or ``low`` where no number lies between the two."""
    middle = low + (high - low) / 2
    return middle if low <= middle < high else low


def _first_bad(values: np.ndarray) -> int:
    return int((~np.isfinite(values)).argmax())
