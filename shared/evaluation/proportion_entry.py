"""Measured numbers ready for JSON, of which some are proportions: these have an interval where all resamples agree.

Of five positive samples that are all found, every resample finds all, and a bootstrap says nothing. The score interval
of Wilson (1927) does: [0.57, 1]. It takes the units that the bootstrap draws for independent, samples or whole groups.
A group whose samples are all right counts as one success: 50 right samples of 5 patients are 5 successes of 5.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import ArrayLike

from shared.evaluation.bootstrap import ALL_AGREE, Interval
from shared.evaluation.proportion import count_units, wilson_interval

__all__ = ["interval_entries", "proportion_entry"]


def proportion_entry(
    entry: Mapping[str, Any],
    counted: ArrayLike,
    groups: ArrayLike | None = None,
    unit: str | None = None,
    level: float = 0.95,
) -> dict[str, Any]:
    """Give a proportion of 0 or 1, on which all resamples agree, the Wilson interval of the units that were drawn.

    Args:
        entry: as :func:`shared.evaluation.bootstrap.interval_entry`; any other is returned as it is.
        counted: whether each sample is in the denominator of the proportion ``(N,)``.
        groups: which samples were drawn together ``(N,)``; ``None`` where single samples were drawn.
        unit: what was drawn, ``patient`` for instance; by default a sample, or a group that is drawn whole.
        level: nominal coverage.

    Returns:
        ``{"value", "ci95", "interval"}`` with ``interval`` naming the method and what it counts.

    Example:
        >>> found = {"value": 1.0, "ci95": None, "reason": "all resamples agree"}
        >>> given = proportion_entry(found, [True] * 6 + [False], list("aabbccc"), "patient")
        >>> [round(end, 3) for end in given["ci95"]], given["interval"]
        ([0.439, 1.0], 'Wilson over 3 patients')
    """
    units = count_units(counted, groups)
    if entry.get("reason") != ALL_AGREE or entry["value"] not in (0.0, 1.0) or not units:
        return dict(entry)
    # rounded: at 0 of n the lower end is off by a rounding error
    ends = [round(float(end), 12) for end in wilson_interval(entry["value"] * units, units, level)]
    plural = "" if units == 1 else "s"
    default = f"sample{plural}" if groups is None else f"group{plural} drawn whole"
    named = f"Wilson over {units} {f'{unit}{plural}' if unit else default}"
    return {key: value for key, value in entry.items() if key != "reason"} | {
        f"ci{100 * level:g}": ends,
        "interval": named,
    }


def interval_entries(
    interval: Interval,
    names: Sequence[str],
    counted: Mapping[str, ArrayLike],
    groups: ArrayLike | None = None,
    unit: str | None = None,
) -> dict[str, dict[str, Any]]:
    """Return M numbers by name, as :meth:`shared.evaluation.bootstrap.Interval.to_json` and :func:`proportion_entry`.

    Args:
        interval: of M numbers.
        names: their names.
        counted: of those that are proportions, whether each sample is in the denominator ``(N,)``.
        groups: see :func:`proportion_entry`.
        unit: see there.
    """
    return {
        name: proportion_entry(interval[index].to_json(), counted[name], groups, unit, interval.level)
        if name in counted
        else interval[index].to_json()
        for index, name in enumerate(names)
    }
