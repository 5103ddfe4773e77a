"""Reading time that a classifier saves where its confident answers stand and a person reads the rest.

The seed of this project (attention-based multiple-instance learning on CAMELYON16, section 4.1) assumes it: with an
error rate e, N cases and x seconds for each, T = (1 − e) x N is saved. That takes for granted that a person reads the
wrong answers and no others, so that confidence ranks perfectly. :func:`measure_time_saving` counts instead what was
accepted, and how much of that is wrong.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shared.evaluation.bootstrap import bootstrap_interval
from shared.evaluation.proportion import wilson_interval
from shared.evaluation.proportion_entry import interval_entries

__all__ = [
    "SECONDS_PER_CASE",
    "AssumedSaving",
    "assumed_time_saving",
    "measure_time_saving",
    "weighted_time_saving",
]

Floats = NDArray[np.float64]

#: a pathologist's time for a slide, Randell et al. 2014 as the seed quotes it
SECONDS_PER_CASE = 34.0

NAMES = ("accepted_share", "wrong_accepted", "hours_saved", "hours_after_correction")


class AssumedSaving(NamedTuple):
    """Seconds that a person still reads, and seconds saved, as assumed for an error rate."""

    human: float
    saved: float


def assumed_time_saving(error_rate: float, cases: int, seconds: float = SECONDS_PER_CASE) -> AssumedSaving:
    """Return the seed's T = (1 − e) x N, and the rest of x N, which a person reads.

    Args:
        error_rate: e, in [0, 1].
        cases: N.
        seconds: x, a person's time for a case.

    Raises:
        ValueError: if the error rate lies outside [0, 1], or the others are negative.

    Example:
        >>> assumed_time_saving(0.05, 129)
        AssumedSaving(human=219.3, saved=4166.7)
    """
    if not 0 <= error_rate <= 1:
        raise ValueError(f"an error rate must lie in [0, 1], found {error_rate}")
    if cases < 0 or seconds < 0:
        raise ValueError(f"cases and seconds must not be negative, found {cases} and {seconds}")
    return AssumedSaving(
        human=round(error_rate * seconds * cases, 9), saved=round((1 - error_rate) * seconds * cases, 9)
    )


def measure_time_saving(
    accepted: ArrayLike,
    wrong: ArrayLike,
    *,
    seconds: float = SECONDS_PER_CASE,
    correction: float | None = None,
    cases: int = 1000,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
    groups: ArrayLike | None = None,
) -> dict[str, Any]:
    """Measure the time saved by decisions that were taken, per so many cases like these.

    Args:
        accepted: whether each case's answer stands without a person, ``(N,)``; all others are read.
        wrong: whether the answer is wrong, ``(N,)``.
        seconds: a person's time for a case.
        correction: time that each accepted wrong answer costs when it is found out later; ``seconds`` if None.
        cases: number of cases that hours and errors are stated for.
        resamples: number of bootstrap resamples.
        level: nominal coverage of the intervals.
        seed: seed of the bootstrap.
        groups: patient of each case ``(N,)``; whole patients are then drawn.

    Returns:
        ``n``, ``n_accepted``, ``n_wrong`` (both), and as ``{"value", "ci95"}``: ``accepted_share``; ``error_rate``
        among the accepted (Wilson's interval, which tells something even where no error was seen); per ``cases``
        cases ``wrong_accepted``, ``hours_saved`` and ``hours_after_correction``, all three with bootstrap intervals.

    Raises:
        ValueError: if the arrays are not ``(N,)``, N ≥ 1, of booleans or 0 and 1, or a time is negative.

    Example:
        >>> found = measure_time_saving([1, 1, 1, 0], [0, 0, 1, 1], seconds=36, cases=100, resamples=20)
        >>> found["n_accepted"], found["n_wrong"], found["hours_saved"]["value"]
        (3, 1, 0.75)
    """
    taken, false = _flags(accepted, "accepted"), _flags(wrong, "wrong")
    if taken.shape != false.shape:
        raise ValueError(f"expected accepted and wrong of one shape, found {taken.shape} and {false.shape}")
    costs = (seconds, seconds if correction is None else correction)
    if min(costs) < 0 or cases < 1:
        raise ValueError(f"expected times of 0 or more and a case at least, found {costs} s and {cases} cases")

    def statistic(weights: Floats, *arrays: np.ndarray) -> Floats:
        return weighted_time_saving(weights, *arrays, seconds=costs[0], correction=costs[1], cases=cases)

    interval = bootstrap_interval(statistic, [taken, false], resamples=resamples, level=level, seed=seed, groups=groups)
    n_accepted, n_wrong = int(taken.sum()), int((taken & false).sum())
    rate: dict[str, Any] = {"value": np.nan, "ci95": None, "reason": "nothing was accepted"}
    if n_accepted:
        low, high = wilson_interval(n_wrong, n_accepted, level)
        rate = {"value": n_wrong / n_accepted, f"ci{100 * level:g}": [float(low), float(high)]}
    return {
        "n": len(taken),
        "n_accepted": n_accepted,
        "n_wrong": n_wrong,
        "error_rate": rate,
        **interval_entries(interval, NAMES, {"accepted_share": np.ones(len(taken), dtype=bool)}, groups),
    }


def weighted_time_saving(
    weights: Floats,
    accepted: NDArray[np.bool_],
    wrong: NDArray[np.bool_],
    *,
    seconds: float,
    correction: float,
    cases: float,
) -> Floats:
    """Return for each row of weights the numbers of ``NAMES``, a statistic for the bootstrap.

    Args:
        weights: ``(R, N)``.
        accepted: ``(N,)``.
        wrong: ``(N,)``.
        seconds: see :func:`measure_time_saving`.
        correction: see :func:`measure_time_saving`.
        cases: see :func:`measure_time_saving`.

    Returns:
        ``(R, 4)``.
    """
    total = weights.sum(axis=1)
    share, false = weights @ accepted / total, weights @ (accepted & wrong) / total
    hours = cases / 3600
    return np.stack(
        [share, cases * false, hours * seconds * share, hours * (seconds * share - correction * false)], axis=1
    )


def _flags(values: ArrayLike, name: str) -> NDArray[np.bool_]:
    array = np.asarray(values)
    if array.ndim != 1 or array.size == 0:
        raise ValueError(f"{name} must be (N,) with a case at least, found shape {array.shape}")
    if not np.isin(array, (0, 1)).all():
        raise ValueError(f"{name} must be boolean or 0 and 1, found {array[~np.isin(array, (0, 1))][0]}")
    return array.astype(bool)
