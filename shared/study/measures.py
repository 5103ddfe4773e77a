"""Means over repeats of a cross-validation, with 95 % intervals over samples and what a perfect predictor would get.

The models of several repeats predict the same samples, so a resample draws samples and keeps all repeats' predictions
of a sample together: the interval is that of the mean over these repeats on other samples. The spread over repeats is
given apart.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shared.calibration.binning import assign_bins, bin_edges, binned_sums
from shared.calibration.calibration_error import norm_of_gaps, top_label_event
from shared.calibration.resampling import basic_interval, central_interval
from shared.evaluation.bootstrap import bootstrap_interval, bootstrap_weights

__all__ = ["Estimate", "RunsEstimate", "calibration_error", "mean_over_repeats"]

Floats = NDArray[np.float64]
CHUNK = 200


@dataclass(frozen=True)
class Estimate:
    """One number of a table.

    Attributes:
        value: mean over the repeats.
        low: lower bound of the 95 % interval.
        high: upper bound.
        n: number of samples.
        repeats: number of repeats.
        repeat_sd: standard deviation over the repeats; None for one.
        null_low: lower bound of what 95 % of perfect predictors get; None where the measure has no such band.
        null_high: upper bound of it.
        chance: what a guess gets; None where that is not given.
        published: the figure of a paper, measured on other samples; None where there is none.
    """

    value: float
    low: float
    high: float
    n: int
    repeats: int = 1
    repeat_sd: float | None = None
    null_low: float | None = None
    null_high: float | None = None
    chance: float | None = None
    published: float | None = None


@dataclass(frozen=True)
class RunsEstimate(Estimate):
    """An estimate over training runs, whose standard deviation the tables show beside it."""


def mean_over_repeats(
    statistic: Callable[..., Floats],
    shared: Sequence[ArrayLike],
    repeated: Sequence[ArrayLike],
    *,
    resamples: int = 1000,
    seed: int = 0,
    strata: ArrayLike | None = None,
) -> list[Estimate]:
    """Average a statistic over repeats.

    Args:
        statistic: ``statistic(weights (R, N), *shared (N, ...), *repeated (N, ...))``, called once for each repeat;
            returns ``(R, M)``.
        shared: what is the same in all repeats: the labels. N along the first axis.
        repeated: predictions ``(S, N, ...)`` of S repeats.
        resamples: bootstrap resamples.
        seed: of the bootstrap.
        strata: see :func:`shared.evaluation.bootstrap.bootstrap_weights`.

    Returns:
        M estimates.
    """
    same = [np.asarray(values) for values in shared]
    varying = [np.asarray(values) for values in repeated]
    repeats, n = varying[0].shape[:2]

    def each(weights: Floats, fixed: Sequence[np.ndarray], moving: Sequence[np.ndarray]) -> Floats:
        # the bootstrap's arrays have the samples along their first axis: (N, S, ...)
        return np.stack([statistic(weights, *fixed, *(values[:, s] for values in moving)) for s in range(repeats)])

    def mean(weights: Floats, *arrays: np.ndarray) -> Floats:
        return each(weights, arrays[: len(same)], arrays[len(same) :]).mean(axis=0)

    swapped = [np.swapaxes(values, 0, 1) for values in varying]
    interval = bootstrap_interval(mean, [*same, *swapped], resamples=resamples, seed=seed, strata=strata)
    per_repeat = each(np.ones((1, n)), same, swapped)[:, 0]  # (S, M)
    return [
        Estimate(
            float(interval.value[m]),
            float(interval.low[m]),
            float(interval.high[m]),
            n,
            repeats,
            _spread(per_repeat[:, m]),
        )
        for m in range(per_repeat.shape[1])
    ]


def calibration_error(
    probabilities: Floats,
    labels: NDArray[np.integer],
    *,
    n_bins: int = 15,
    resamples: int = 1000,
    seed: int = 0,
    strata: ArrayLike | None = None,
) -> Estimate:
    """Return the top-label calibration error, with a basic bootstrap interval and its null band.

    The null band holds 95 % of what predictors would get that are right as often as they say. The truth of a sample is
    one for all repeats, so in a simulation one uniform number decides for all of them.

    Args:
        probabilities: ``(S, N, K)`` of S repeats.
        labels: class indices ``(N,)``.
        n_bins: equal-width bins.
        resamples: bootstrap resamples, and simulations for the null band.
        seed: of both.
        strata: see :func:`shared.evaluation.bootstrap.bootstrap_weights`.
    """

    def error(forecast: Floats, outcome: Floats, weights: Floats | None = None) -> Floats:
        bins = assign_bins(forecast, bin_edges(forecast, n_bins))
        return norm_of_gaps(binned_sums(forecast, outcome, bins, n_bins, weights), "l1")

    events = [top_label_event(p, np.asarray(labels)) for p in probabilities]
    per_repeat = np.array([error(*event) for event in events])
    value = float(per_repeat.mean())
    chunks = bootstrap_weights(len(labels), resamples, seed=seed, strata=strata)
    resampled = np.concatenate([np.mean([error(*event, weights) for event in events], axis=0) for weights in chunks])
    low, high = basic_interval(value, resampled, minimum=0.0, maximum=1.0)
    rng = np.random.default_rng(seed)
    simulated: list[Any] = []
    for start in range(0, resamples, CHUNK):
        uniform = rng.random((min(CHUNK, resamples - start), len(labels)))
        simulated.append(np.mean([error(f, (uniform < f).astype(np.float64)) for f, _ in events], axis=0))
    null_low, null_high = central_interval(np.concatenate(simulated))
    return Estimate(value, low, high, len(labels), len(events), _spread(per_repeat), null_low, null_high)


def _spread(per_repeat: Floats) -> float | None:
    return float(per_repeat.std(ddof=1)) if len(per_repeat) > 1 else None
