"""Results in subgroups of the samples: by sex, tertile of age, view, source, or whatever the records say.

Each subgroup has the metrics of the whole with an interval of its own, and the difference to all others: samples are
resampled once, and both sides are measured on the same resample. With many subgroups some differences exclude 0 by
chance, one in twenty at a level of 95 %.

A side whose resamples all agree, 14 of 14 right for instance, seems to be known exactly, and the interval of the
difference would be that of the other side alone: such a difference has a value and the reason why it has no interval.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shared.evaluation.bootstrap import Interval, Statistic, bootstrap_interval, count_groups
from shared.evaluation.proportion_entry import proportion_entry

__all__ = ["MOST_GROUPS", "Subgroup", "divide", "excludes_zero", "expected_by_chance", "key_title", "subgroup_metrics"]

#: a key with more values names samples rather than groups them
MOST_GROUPS = 12
UNKNOWN = "unknown"
#: last parts of keys that are units, as readers know them
UNITS = {"pg": "pg", "um": "µm", "um2": "µm²", "mm": "mm", "mm2": "mm²", "px": "px", "years": "years"}


def key_title(key: str) -> str:
    """Return a key of records in words, its unit in brackets.

    Example:
        >>> key_title("dry_mass_pg"), key_title("lymphocyte_count"), key_title("sex")
        ('dry mass (pg)', 'lymphocyte count', 'sex')
    """
    name, _, unit = key.rpartition("_")
    return f"{name} ({UNITS[unit]})".replace("_", " ") if name and unit in UNITS else key.replace("_", " ")


def excludes_zero(ends: Sequence[float] | None) -> bool:
    """Whether the interval of a difference shows one; never without an interval."""
    return ends is not None and (ends[0] > 0 or ends[1] < 0)


def expected_by_chance(compared: int, level: float = 0.95) -> int:
    """Return how many of so many differences exclude 0 by chance, rounded up, if in truth there is none.

    Example:
        >>> expected_by_chance(20), expected_by_chance(21)
        (1, 2)
    """
    return math.ceil(round((1 - level) * compared, 9))


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
    unit: str | None = None,
    counted: Mapping[str, ArrayLike] | None = None,
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
        unit: what ``groups`` are, ``patient`` for instance, for proportions on which all resamples agree, see
            :func:`shared.evaluation.proportion_entry.proportion_entry`.
        counted: of the metrics that are proportions, whether each sample is in the denominator ``(N,)``.

    Returns:
        By key ``{"groups": [{"name", "n", "metrics": {name: entry}, "against_rest": {name: entry}}, …]}``, where an
        entry is ``{"value", "ci95"}`` as everywhere, ``against_rest`` is the metric here less that of all others, with
        no interval but the reason where the resamples of one side all agree; or ``{"reason"}`` for a key that divides
        nothing: no record has it, all say the same, or there are more than ``MOST_GROUPS`` values.

    Raises:
        ValueError: if arrays and records differ in number.
    """
    data = [np.asarray(array) for array in arrays]
    if any(len(array) != len(records) for array in data):
        raise ValueError(f"{len(records)} records need as many samples, found {[len(array) for array in data]}")
    whole = None if groups is None else np.asarray(groups)
    options: dict[str, Any] = {"resamples": resamples, "level": level, "seed": seed, "groups": whole}
    proportions = {name: np.asarray(mask, dtype=bool) for name, mask in (counted or {}).items()}
    measured: dict[str, dict[str, Any]] = {}
    for key in keys:
        parts = divide(records, key)
        reason = _why_not(parts, key)
        if reason is None:
            measured[key] = {"groups": _measure(parts, statistic, names, data, options, proportions, unit)}
        else:
            measured[key] = {"reason": reason}
    return measured


def _why_not(parts: Sequence[Subgroup], key: str) -> str | None:
    title = key_title(key)
    if not parts or all(part.name == UNKNOWN for part in parts):
        return f"no record says its {title}"
    if len(parts) == 1:
        return f"all samples are of one {title}: {parts[0].name}"
    if len(parts) > MOST_GROUPS:
        return f"the samples are of {len(parts)} values of {title}, more than the {MOST_GROUPS} that are told apart"
    return None


def _measure(
    parts: Sequence[Subgroup],
    statistic: Statistic,
    names: Sequence[str],
    data: Sequence[NDArray[Any]],
    options: Mapping[str, Any],
    counted: Mapping[str, NDArray[np.bool_]],
    unit: str | None,
) -> list[dict[str, Any]]:
    width, groups = len(names), options["groups"]

    def of_parts(weights: NDArray[np.float64], *arrays: NDArray[Any]) -> NDArray[np.float64]:
        columns = []
        for part in parts:
            here, rest = (_weighted(statistic, weights, arrays, side, width) for side in (part.members, ~part.members))
            columns += [here, rest, here - rest]
        return np.concatenate(columns, axis=1)  # (R, parts * 3 * M)

    interval = bootstrap_interval(of_parts, data, **options)
    rows = []
    for index, part in enumerate(parts):
        sides = (part.members, ~part.members)
        own = min(count_groups(int(side.sum()), None if groups is None else groups[side]) for side in sides)
        found = [replace(interval[3 * width * index + column], groups=own) for column in range(3 * width)]
        sides_and_difference = zip(found[:width], found[width : 2 * width], found[2 * width :], strict=True)
        rows.append(
            {
                "name": part.name,
                "n": int(part.members.sum()),
                "metrics": {
                    name: proportion_entry(
                        entry.to_json(), counted[name] & part.members, groups, unit, options["level"]
                    )
                    if name in counted
                    else entry.to_json()
                    for name, entry in zip(names, found[:width], strict=True)
                },
                "against_rest": {
                    name: _difference(*three) for name, three in zip(names, sides_and_difference, strict=True)
                },
            }
        )
    return rows


def _difference(here: Interval, rest: Interval, difference: Interval) -> dict[str, Any]:
    """Return the entry of ``here - rest``, without an interval if one side has none."""
    entry, key = difference.to_json(), f"ci{100 * difference.level:g}"
    if entry[key] is None or math.isnan(entry["value"]):
        return entry
    for side, whose in ((here, "this group"), (rest, "all others")):
        if side.to_json()[key] is None:
            return entry | {key: None, "reason": f"all resamples of {whose} agree, too few to tell how sure they are"}
    return entry


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
