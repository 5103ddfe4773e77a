"""Percentile bootstrap intervals of statistics that are computed for all resamples at once.

A resample of N samples is written as a row of N counts: how often each sample was drawn. A statistic takes such rows as
weights ``(R, N)`` and returns one number per row, so that a thousand resamples cost one matrix product instead of a
thousand calls.

A bootstrap of fewer than two groups knows nothing of how groups differ, and all its resamples are alike. Then, and
wherever else all resamples give one value, there is no interval but the reason for that: an interval of no width would
be read as certainty. For a proportion see :mod:`shared.evaluation.proportion_entry`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "ALL_AGREE",
    "Interval",
    "Statistic",
    "bootstrap_difference",
    "bootstrap_interval",
    "bootstrap_weights",
    "count_groups",
    "interval_entry",
    "percentile_interval",
    "weighted_mean",
]

Statistic = Callable[..., np.ndarray]
"""``statistic(weights (R, N), *arrays (N, ...))`` returns ``(R,)``, or ``(R, M)`` for M numbers at once."""

CHUNK_ELEMENTS = 4_000_000
#: why a bootstrap gives no interval where nothing varies
ALL_AGREE = "all resamples agree"


@dataclass(frozen=True)
class Interval:
    """A statistic with its bootstrap interval.

    Attributes:
        value: the statistic of the data, ``()`` or ``(M,)``.
        low: lower bound, same shape.
        high: upper bound, same shape.
        undefined: share of resamples in which the statistic was not defined (a class was not drawn, say), same shape;
            these resamples do not enter the bounds.
        level: nominal coverage.
        groups: number of groups, or else of samples, that were drawn from, see :func:`count_groups`; ``None`` if
            unknown.
    """

    value: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    undefined: NDArray[np.float64]
    level: float = 0.95
    groups: int | None = None

    def __getitem__(self, index: int) -> Interval:
        """Return the interval of one of M numbers."""
        value, low, high, undefined = (
            np.asarray(part[index]) for part in (self.value, self.low, self.high, self.undefined)
        )
        return Interval(value, low, high, undefined, self.level, self.groups)

    def to_json(self) -> dict[str, Any]:
        """Return one number as :func:`interval_entry` does, with ``undefined_resamples`` if there were any.

        Raises:
            ValueError: if this is the interval of M numbers; take one by its index.
        """
        if self.value.ndim:
            raise ValueError(f"expected the interval of one number, found {self.value.shape}; take one by its index")
        content = interval_entry(float(self.value), (float(self.low), float(self.high)), self.groups, self.level)
        if np.any(self.undefined > 0):
            content["undefined_resamples"] = self.undefined.tolist()
        return content


def interval_entry(
    value: float, ends: Sequence[float], groups: int | None = None, level: float = 0.95
) -> dict[str, Any]:
    """Return a number with its bootstrap interval, ready for JSON.

    Args:
        value: the number, NaN if it is not defined.
        ends: lower and upper bound.
        groups: number of groups, or else of samples, that were drawn from, see :func:`count_groups`.
        level: nominal coverage.

    Returns:
        ``{"value", "ci95": [low, high]}``; ``{"value", "ci95": None, "reason"}`` where the bootstrap cannot give an
        interval.

    Example:
        >>> interval_entry(0.9, (0.8, 0.95), groups=12)
        {'value': 0.9, 'ci95': [0.8, 0.95]}
        >>> interval_entry(0.9, (0.9, 0.9), groups=1)
        {'value': 0.9, 'ci95': None, 'reason': 'only one group'}
    """
    key, (low, high) = f"ci{100 * level:g}", ends
    reason = None
    if groups is not None and groups < 2:
        reason = "only one group"
    elif math.isclose(low, high, rel_tol=1e-12, abs_tol=1e-12):
        reason = ALL_AGREE
    if reason is None or math.isnan(value):
        return {"value": value, key: [low, high]}
    return {"value": value, key: None, "reason": reason}


def count_groups(n: int, groups: ArrayLike | None = None, strata: ArrayLike | None = None) -> int:
    """Return how many groups, or else samples, a bootstrap draws from: in the smallest stratum, if there are strata.

    Args:
        n: number of samples N.
        groups: see :func:`bootstrap_weights`.
        strata: see :func:`bootstrap_weights`.

    Raises:
        ValueError: if ``strata`` or ``groups`` are not N long.
    """
    unit = np.arange(n) if groups is None else _codes(groups, n, "groups")
    stratum = np.zeros(n, dtype=np.intp) if strata is None else _codes(strata, n, "strata")
    return min((len(np.unique(unit[stratum == number])) for number in np.unique(stratum)), default=0)


def weighted_mean(weights: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return Σ wᵢ vᵢ / Σ wᵢ of each row: weights ``(R, N)``, values ``(N,)`` or ``(N, M)``; ``(R,)`` or ``(R, M)``."""
    total = weights.sum(axis=1)
    return (weights @ values) / total.reshape(-1, *[1] * (values.ndim - 1))


def bootstrap_weights(
    n: int,
    resamples: int = 1000,
    *,
    seed: int = 0,
    strata: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    chunk_elements: int = CHUNK_ELEMENTS,
) -> Iterator[NDArray[np.float64]]:
    """Draw resamples with replacement, as counts per sample, in chunks of rows.

    The counts depend on the seed alone and not on the size of the chunks.

    Args:
        n: number of samples N.
        resamples: number of resamples in all.
        seed: seed of the draw.
        strata: stratum of each sample ``(N,)``; the number drawn from each stratum stays what it is in the data.
        groups: patient or donor of each sample ``(N,)``; whole groups are drawn, so that samples of one patient are
            not taken for independent (cluster bootstrap). With ``strata``, groups are drawn within each stratum.
        chunk_elements: largest number of counts held at once.

    Yields:
        Counts ``(R, N)``; the R of all chunks add up to ``resamples``.

    Raises:
        ValueError: if there is nothing to draw from, ``strata`` or ``groups`` are not N long, or a group has samples
            in two strata.
    """
    if n < 1 or resamples < 1:
        raise ValueError(f"a bootstrap needs samples and resamples, found n = {n} and resamples = {resamples}")
    unit_of_sample = np.arange(n) if groups is None else _codes(groups, n, "groups")
    stratum_of_sample = np.zeros(n, dtype=np.intp) if strata is None else _codes(strata, n, "strata")
    units = int(unit_of_sample.max()) + 1
    stratum_of_unit = np.zeros(units, dtype=np.intp)
    stratum_of_unit[unit_of_sample] = stratum_of_sample
    if np.any(stratum_of_unit[unit_of_sample] != stratum_of_sample):
        sample = int(np.flatnonzero(stratum_of_unit[unit_of_sample] != stratum_of_sample)[0])
        raise ValueError(
            f"group '{np.asarray(groups)[sample]}' has samples in two strata; stratify by a property of the whole group"
        )
    members = [np.flatnonzero(stratum_of_unit == stratum) for stratum in range(int(stratum_of_unit.max()) + 1)]
    generators = [np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(len(members))]

    rows = max(1, chunk_elements // n)
    for start in range(0, resamples, rows):
        size = min(rows, resamples - start)
        counts = np.zeros((size, units))
        for member, generator in zip(members, generators, strict=True):
            m = len(member)
            draws = generator.integers(0, m, size=(size, m)) + m * np.arange(size)[:, None]
            counts[:, member] = np.bincount(draws.ravel(), minlength=size * m).reshape(size, m)
        yield counts if groups is None else counts[:, unit_of_sample]


def bootstrap_interval(
    statistic: Statistic,
    arrays: Sequence[ArrayLike],
    *,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
    strata: ArrayLike | None = None,
    groups: ArrayLike | None = None,
) -> Interval:
    """Return a statistic with its percentile bootstrap interval (Efron 1979).

    Args:
        statistic: called as ``statistic(weights, *arrays)`` with weights ``(R, N)``; returns ``(R,)`` or ``(R, M)``,
            NaN where it is not defined.
        arrays: the data; each has N samples along its first axis and is resampled together with the others.
        resamples: number of resamples.
        level: nominal coverage.
        seed: seed of the draw.
        strata: see :func:`bootstrap_weights`.
        groups: see :func:`bootstrap_weights`.

    Raises:
        ValueError: if the arrays differ in length, or by :func:`bootstrap_weights`.

    Example:
        >>> interval = bootstrap_interval(weighted_mean, [np.arange(100.0)], seed=1)
        >>> print(f"{interval.value:.1f} in [{interval.low:.0f}, {interval.high:.0f}]")
        49.5 in [44, 55]
    """
    data = [np.asarray(array) for array in arrays]
    if not data or len({len(array) for array in data}) > 1:
        raise ValueError(f"the arrays of a statistic need one common length, found {[len(array) for array in data]}")
    n = len(data[0])
    chunks = bootstrap_weights(n, resamples, seed=seed, strata=strata, groups=groups)
    resampled = np.concatenate([statistic(weights, *data) for weights in chunks])
    interval = percentile_interval(statistic(np.ones((1, n)), *data)[0], resampled, level)
    return replace(interval, groups=count_groups(n, groups, strata))


def bootstrap_difference(
    statistic: Statistic,
    first: Sequence[ArrayLike],
    second: Sequence[ArrayLike],
    **options: Any,
) -> Interval:
    """Return ``statistic(first) - statistic(second)`` with the interval of the *paired* difference.

    Both sides are measured on the same samples and see the same resamples, so that what makes a sample hard for both
    cancels.

    Args:
        statistic: as in :func:`bootstrap_interval`.
        first: the data of the first method, N samples in each array.
        second: the data of the second method, the same samples in the same order.
        **options: options of :func:`bootstrap_interval`.

    Raises:
        ValueError: as :func:`bootstrap_interval`.
    """
    split = len(first)

    def difference(weights: np.ndarray, *arrays: np.ndarray) -> np.ndarray:
        return statistic(weights, *arrays[:split]) - statistic(weights, *arrays[split:])

    return bootstrap_interval(difference, [*first, *second], **options)


def percentile_interval(value: ArrayLike, resampled: ArrayLike, level: float = 0.95) -> Interval:
    """Return the interval between the percentiles of resampled values.

    Args:
        value: the statistic of the data, ``()`` or ``(M,)``.
        resampled: the statistic of each resample, ``(R,)`` or ``(R, M)``; NaN where it was not defined.
        level: nominal coverage, in (0, 1).

    Raises:
        ValueError: if ``level`` is outside (0, 1).
    """
    if not 0.0 < level < 1.0:
        raise ValueError(f"level must be in (0, 1), found {level}")
    values = np.asarray(resampled, dtype=np.float64)
    undefined = np.isnan(values).mean(axis=0)
    bounds = np.full((2, *values.shape[1:]), np.nan)
    # an all-NaN column has no percentile, and numpy would warn of it
    defined = undefined < 1.0
    if np.any(defined):
        quantiles = [(1 - level) / 2, (1 + level) / 2]
        bounds[:, defined] = np.nanquantile(values[:, defined], quantiles, axis=0).reshape(2, -1)
    return Interval(np.asarray(value, dtype=np.float64), np.asarray(bounds[0]), np.asarray(bounds[1]), undefined, level)


def _codes(values: ArrayLike, n: int, name: str) -> NDArray[np.intp]:
    """Number the distinct values from 0 on, ``(N,)``."""
    array = np.asarray(values)
    if array.shape != (n,):
        raise ValueError(f"{name} must have one entry for each of the {n} samples, found shape {array.shape}")
    return np.unique(array, return_inverse=True)[1]
