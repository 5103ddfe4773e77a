"""How well doubts put the wrong predictions last, for all bootstrap resamples at once.

The numbers are those of :func:`shared.evaluation.classification.weighted_roc_auc` and
:func:`shared.calibration.selective.weighted_aurc`. Here both come from one sort and one pair of running sums, in single
precision: an alarm evaluation needs them for every alarm and finding. Counts up to 2²⁴ are exact in it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Ranking", "rank_errors", "ranked_auc"]

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]


class Ranking(NamedTuple):
    """How doubts order predictions, one number per resample.

    Attributes:
        error_auc: probability that a wrong prediction is more doubtful than a right one, ties counted half; NaN
            without wrong or without right predictions.
        aurc: area under the risk–coverage curve when the most doubtful are left out first; NaN without predictions.
    """

    error_auc: Floats
    aurc: Floats


def rank_errors(weights: Singles, doubt: Floats, wrong: NDArray[np.bool_]) -> Ranking:
    """Measure doubts by the errors that they are to find.

    Args:
        weights: counts ``(R, N)``, float32.
        doubt: ``(N,)``; NaN, which is never flagged, counts as the smallest doubt.
        wrong: whether the prediction is wrong, ``(N,)``.
    """
    total, errors = _grouped(weights, np.where(np.isnan(doubt), -np.inf, doubt), wrong)
    accepted, failed = np.cumsum(total, axis=1), np.cumsum(errors, axis=1)
    area = _area(total, errors, accepted, failed)
    # 0 / 0 where a resample holds none of the least doubtful: nothing is accepted, and its weight is 0
    risk = np.divide(failed, accepted, out=failed, where=accepted > 0)
    mean = np.einsum("rg,rg->r", total, risk, dtype=np.float64)
    weight = accepted[:, -1].astype(np.float64)
    return Ranking(area, np.divide(mean, weight, out=np.full(len(mean), np.nan), where=weight > 0))


def ranked_auc(weights: Singles, score: Floats, positive: NDArray[np.bool_]) -> Floats:
    """Return the area under the ROC curve ``(R,)`` of scores ``(N,)``; NaN without positive or negative samples."""
    total, hits = _grouped(weights, score, positive)
    return _area(total, hits, np.cumsum(total, axis=1), np.cumsum(hits, axis=1))


def _grouped(weights: Singles, score: Floats, event: NDArray[np.bool_]) -> tuple[Singles, Singles]:
    """Return the weights of all and of events at each distinct score, ascending, ``(R, G)``."""
    order = np.argsort(score, kind="stable")
    ascending = score[order]
    total = np.take(weights, order, axis=1)
    events = total * event[order].astype(np.float32)
    starts = np.flatnonzero(np.append(True, ascending[1:] != ascending[:-1]))
    if len(starts) < len(order):
        total, events = (np.add.reduceat(values, starts, axis=1) for values in (total, events))
    return total, events


def _area(total: Singles, events: Singles, accepted: Singles, happened: Singles) -> Floats:
    # only where an event lies does a term differ from 0
    places = np.flatnonzero(events.any(axis=0))
    if places.size == 0:
        return np.full(len(total), np.nan)
    here = events[:, places].astype(np.float64)
    others = (total[:, places] - events[:, places]).astype(np.float64)
    below = (accepted[:, places] - happened[:, places]).astype(np.float64) - others / 2
    pairs = happened[:, -1].astype(np.float64) * (accepted[:, -1] - happened[:, -1])
    wins = np.einsum("rg,rg->r", here, below)
    return np.divide(wins, pairs, out=np.full(len(wins), np.nan), where=pairs > 0)
