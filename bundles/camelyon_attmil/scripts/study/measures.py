"""What the tables say of held-out bags: means over repeats with intervals over bags."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student_t

from shared.evaluation.bootstrap import weighted_mean
from shared.evaluation.classification import weighted_confusion, weighted_roc_auc
from shared.study.measures import Estimate, mean_over_repeats

__all__ = ["NAMES", "Meter", "over_bags_and_seeds", "weighted_bag_metrics", "weighted_sensitivity"]

Floats = NDArray[np.float64]
NAMES = ("accuracy", "precision", "recall", "f1", "roc_auc")


@dataclass(frozen=True)
class Meter:
    """Measures logits ``(S, B)`` of S repeats for bags with labels ``(B,)``.

    Intervals come from a bootstrap over bags, stratified by class.

    Args:
        labels: 0 or 1.
        resamples: bootstrap resamples.
        seed: of the bootstrap.
    """

    labels: NDArray[np.int64]
    resamples: int
    seed: int = 0

    def classification(self, logits: Floats) -> dict[str, Estimate]:
        """Return the measures of :data:`NAMES`; a bag is called positive if its logit is above 0."""
        return dict(zip(NAMES, self._mean(weighted_bag_metrics, [logits]), strict=True))

    def fold_roc_auc(self, logits: Floats, folds: NDArray[np.int64]) -> Estimate:
        """Return the mean over the folds of the area within each, the folds ``(S, B)`` numbered from 0."""
        number = int(folds.max()) + 1

        def statistic(weights: Floats, positive: NDArray[np.bool_], scores: Floats, fold: NDArray[np.int64]) -> Floats:
            areas = [
                weighted_roc_auc(weights[:, held], scores[held], positive[held])
                for held in (fold == index for index in range(number))
            ]
            # a resample may have only one class of a fold
            return np.nanmean(np.stack(areas), axis=0)[:, None]

        return self._mean(statistic, [logits, folds])[0]

    def mean(self, values: Floats, of: NDArray[np.bool_]) -> Estimate:
        """Return the mean of values ``(S, B)`` over some bags ``(B,)``."""
        estimates = mean_over_repeats(
            weighted_mean, [], [values[:, of, None]], resamples=self.resamples, seed=self.seed
        )
        return estimates[0]

    def sensitivity(self, logits: Floats, specificity: float) -> Estimate:
        """Return the sensitivity at a specificity, see :func:`weighted_sensitivity`."""

        def statistic(weights: Floats, positive: NDArray[np.bool_], scores: Floats) -> Floats:
            return weighted_sensitivity(weights, scores, positive, specificity)[:, None]

        return self._mean(statistic, [logits])[0]

    def _mean(self, statistic: object, repeated: Sequence[NDArray]) -> list[Estimate]:
        return mean_over_repeats(
            statistic,  # type: ignore[arg-type]
            [self.labels == 1],
            repeated,
            resamples=self.resamples,
            seed=self.seed,
            strata=self.labels,
        )


def over_bags_and_seeds(estimate: Estimate, least: float = 0.0) -> Estimate:
    """Widen the interval of a mean over independent trainings by what other trainings would have given.

    The half-widths of the bootstrap over bags, h, and of the mean of S seeds by Student's t, ``t s / √S``, add as
    ``√(h² + t² s² / S)``, on each side; within ``least`` to 1. One seed says nothing of others: its interval stays.

    Args:
        estimate: with the standard deviation s over S repeats.
        least: what the number can be at least; -1 for a difference.
    """
    if estimate.repeat_sd is None:
        return estimate
    spread = float(student_t.ppf(0.975, estimate.repeats - 1)) * estimate.repeat_sd / math.sqrt(estimate.repeats)
    return replace(
        estimate,
        low=max(least, estimate.value - math.hypot(estimate.value - estimate.low, spread)),
        high=min(1.0, estimate.value + math.hypot(estimate.high - estimate.value, spread)),
    )


def weighted_bag_metrics(weights: Floats, positive: NDArray[np.bool_], logits: Floats) -> Floats:
    """Return the measures for each row of weights, a statistic for the bootstrap.

    Args:
        weights: ``(R, B)``.
        positive: ``(B,)``.
        logits: ``(B,)``.

    Returns:
        ``(R, 5)`` in the order of :data:`NAMES`; the precision is NaN where nothing is called positive.
    """
    table = weighted_confusion(weights, positive.astype(np.intp), (logits > 0).astype(np.intp), 2)
    called, found, positives = table[:, :, 1].sum(axis=1), table[:, 1, 1], table[:, 1].sum(axis=1)
    with np.errstate(invalid="ignore"):
        precision = found / called
    accuracy = (found + table[:, 0, 0]) / table.sum(axis=(1, 2))
    area = weighted_roc_auc(weights, logits, positive)
    return np.stack([accuracy, precision, found / positives, 2 * found / (called + positives), area], axis=1)


def weighted_sensitivity(weights: Floats, scores: Floats, positive: NDArray[np.bool_], specificity: float) -> Floats:
    """Return the greatest sensitivity whose specificity is not below a given one, for each row of weights.

    A bag is called positive if its score is at least a threshold, and the threshold is the lowest at which the share of
    negative bags that are called positive is at most ``1 − specificity``, found anew in each resample. Bags of equal
    score are called alike.

    Args:
        weights: ``(R, B)``.
        scores: ``(B,)``, larger for positive bags.
        positive: ``(B,)``.
        specificity: 0 to 1.

    Returns:
        ``(R,)``, NaN for rows without a positive or without a negative bag.
    """
    order = np.argsort(-scores, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(scores[order]) != 0])
    ordered, flags = weights[:, order], positive[order]
    found = np.cumsum(np.add.reduceat(ordered * flags, starts, axis=1), axis=1)  # (R, distinct scores)
    false = np.cumsum(np.add.reduceat(ordered * ~flags, starts, axis=1), axis=1)
    with np.errstate(invalid="ignore"):
        sensitivity, share = found / found[:, -1:], false / false[:, -1:]
    # a share that is 1 - specificity but for rounding is allowed
    allowed = np.where(share <= 1 - specificity + 1e-9, sensitivity, 0.0)
    undefined = (found[:, -1] == 0) | (false[:, -1] == 0)
    return np.where(undefined, np.nan, allowed.max(axis=1))
