"""Results in subgroups of the samples: by sex, tertile of age, view, source, or whatever the records say.

Each subgroup has the metrics of the whole with an interval of its own, and the difference to all others: samples are
resampled once, and both sides are measured on the same resample. With many subgroups some differences exclude 0 by
chance, one in twenty at a level of 95 %.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shared.evaluation.bootstrap import Statistic, bootstrap_interval, count_groups

__all__ = ["MOST_GROUPS", "Subgroup", "divide", "subgroup_metrics"]

#: a key with more values names samples rather than groups them
MOST_GROUPS = 12
UNKNOWN = "unknown"


@dataclass(frozen=True)
class Subgroup:
    """Samples that have something in common.

    Attributes:
        name: what they have in common, for readers.
        members: ``(N,)``, whether each sample is one.
    """

    name: str
    members: NDArray[np.bool_]


def divide(records: Sequence[Mapping[str, Any]], key: str) -> list[Subgroup]:
    """Divide records by what they say under a key: numbers into tertiles, anything else by its value.

    Args:
        records: the N records; those without the key are a subgroup named ``unknown``.
        key: of the records.

    Returns:
        Subgroups with at least one member, in ascending order; a single one if all records are alike, none if no
        record has the key. Numbers with at most three distinct values are divided by value.

    Example:
        >>> groups = divide([{"age": age} for age in (20, 35, 50, 65, 80, None)], "age")
        >>> [(group.name, int(group.members.sum())) for group in groups]
        [('up to 40', 2), ('above 40 to 60', 1), ('above 60', 2), ('unknown', 1)]
    """
    said = [record.get(key) for record in records]
    known = np.array([value is not None and value != "" for value in said], dtype=bool)
    if not known.any():
        return []
    values = [value for value, there in zip(said, known, strict=True) if there]
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        numbers = np.full(len(said), np.nan)
        numbers[known] = values
        found = _tertiles(numbers)
    else:
        texts = np.array([str(value) for value in said])
        found = [Subgroup(name, known & (texts == name)) for name in sorted({str(value) for value in values})]
    rest = [] if known.all() else [Subgroup(UNKNOWN, ~known)]
    return [*found, *rest]


def _tertiles(numbers: NDArray[np.float64]) -> list[Subgroup]:
    """Divide numbers ``(N,)``, NaN where unknown, at the quantiles 1/3 and 2/3."""
    distinct = np.unique(numbers[~np.isnan(numbers)])
    if len(distinct) <= 3:
        return [Subgroup(f"{value:.6g}", numbers == value) for value in distinct]
    low, high = (float(edge) for edge in np.nanquantile(numbers, [1 / 3, 2 / 3]))
    parts = [
        Subgroup(f"up to {low:.4g}", numbers <= low),
        Subgroup(f"above {low:.4g} to {high:.4g}", (numbers > low) & (numbers <= high)),
        Subgroup(f"above {high:.4g}", numbers > high),
    ]
    return [part for part in parts if part.members.any()]


def subgroup_metrics(
    records: Sequence[Mapping[str, Any]],
    keys: Sequence[str],
    statistic: Statistic,
    names: Sequence[str],
    arrays: Sequence[ArrayLike],
    *,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
    groups: ArrayLike | None = None,
) -> dict[str, dict[str, Any]]:
    """Measure every subgroup, and its difference to all other samples.

    Args:
        records: of the N samples.
        keys: of the records to divide by.
        statistic: ``statistic(weights (R, n), *arrays (n, …))`` returns the M metrics ``(R, M)``, NaN where one is not
            defined.
        names: of the M metrics.
        arrays: the data, N samples along the first axis of each.
        resamples: bootstrap resamples.
        level: nominal coverage of the intervals.
        seed: seed of the bootstrap.
        groups: see :func:`shared.evaluation.bootstrap.bootstrap_weights`.

    Returns:
        By key ``{"groups": [{"name", "n", "metrics": {name: entry}, "against_rest": {name: entry}}, …]}``, where an
        entry is ``{"value", "ci95"}`` as everywhere, ``against_rest`` is the metric here less that of all others; or
        ``{"reason"}`` for a key that divides nothing: no record has it, all say the same, or there are more than
        ``MOST_GROUPS`` values.

    Raises:
        ValueError: if arrays and records differ in number.
    """
    data = [np.asarray(array) for array in arrays]
    if any(len(array) != len(records) for array in data):
        raise ValueError(f"{len(records)} records need as many samples, found {[len(array) for array in data]}")
    unit = None if groups is None else np.asarray(groups)
    options: dict[str, Any] = {"resamples": resamples, "level": level, "seed": seed, "groups": unit}
    measured: dict[str, dict[str, Any]] = {}
    for key in keys:
        parts = divide(records, key)
        reason = _why_not(parts, key)
        if reason is None:
            measured[key] = {"groups": _measure(parts, statistic, names, data, unit, options)}
        else:
            measured[key] = {"reason": reason}
    return measured


def _why_not(parts: Sequence[Subgroup], key: str) -> str | None:
    if not parts or all(part.name == UNKNOWN for part in parts):
        return f"no record says its {key}"
    if len(parts) == 1:
        return f"all samples are of one {key}: {parts[0].name}"
    if len(parts) > MOST_GROUPS:
        return (
            f"the samples are of {len(parts)} different {key} values, more than the {MOST_GROUPS} that are told apart"
        )
    return None


def _measure(
    parts: Sequence[Subgroup],
    statistic: Statistic,
    names: Sequence[str],
    data: Sequence[NDArray[Any]],
    unit: NDArray[Any] | None,
    options: Mapping[str, Any],
) -> list[dict[str, Any]]:
    width = len(names)

    def of_parts(weights: NDArray[np.float64], *arrays: NDArray[Any]) -> NDArray[np.float64]:
        columns = []
        for part in parts:
            here, rest = (_weighted(statistic, weights, arrays, side, width) for side in (part.members, ~part.members))
            columns += [here, here - rest]
        return np.concatenate(columns, axis=1)  # (R, parts * 2 * M)

    interval = bootstrap_interval(of_parts, data, **options)
    rows = []
    for index, part in enumerate(parts):
        sides = (part.members, ~part.members)
        own = min(count_groups(int(side.sum()), None if unit is None else unit[side]) for side in sides)
        start = 2 * width * index
        entries = [replace(interval[start + column], groups=own).to_json() for column in range(2 * width)]
        rows.append(
            {
                "name": part.name,
                "n": int(part.members.sum()),
                "metrics": dict(zip(names, entries[:width], strict=True)),
                "against_rest": dict(zip(names, entries[width:], strict=True)),
            }
        )
    return rows


def _weighted(
    statistic: Statistic,
    weights: NDArray[np.float64],
    arrays: Sequence[NDArray[Any]],
    chosen: NDArray[np.bool_],
    width: int,
) -> NDArray[np.float64]:
    """Return the metrics ``(R, width)`` of the chosen samples for weights ``(R, N)``; NaN where none was drawn."""
    part = weights[:, chosen]
    drawn = part.sum(axis=1) > 0
    values = np.full((len(weights), width), np.nan)
    if drawn.any():
        values[drawn] = statistic(part[drawn], *(array[chosen] for array in arrays))
    return values
