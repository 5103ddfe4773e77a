"""Measured numbers as the files state them: a value with its interval, null band, chance level and sample count."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from shared.data.errors import DataError

__all__ = ["Estimate", "read_estimates", "read_number", "read_pair", "read_table"]


@dataclass(frozen=True)
class Estimate:
    """One measured number.

    Attributes:
        name: the keys that lead to it, joined by a dot (``"classwise_ece.monocyte"``).
        value: the number; ``None`` where the file says that it is undefined (``null``).
        interval: 95 % interval.
        null_band: range in which a perfect predictor would lie at the same sample count.
        chance: value of a result that knows nothing.
        n: number of samples that it was measured on.
        n_without_mask: number of samples that could not be measured for want of a mask.
        reason: why there is no value, or no interval.
        interval_from: how the interval was found, and over what, where it is none of a bootstrap.
        difference: to what chance reaches on the same samples, with its paired interval, where that was taken.
    """

    name: str
    value: float | None
    interval: tuple[float, float] | None = None
    null_band: tuple[float, float] | None = None
    chance: float | None = None
    n: int | None = None
    n_without_mask: int | None = None
    reason: str | None = None
    interval_from: str | None = None
    difference: Estimate | None = None

    @property
    def against_null(self) -> str | None:
        """``"within"``, ``"above"`` or ``"below"``: the value relative to the null band, if both are known."""
        if self.value is None or self.null_band is None:
            return None
        if self.value > self.null_band[1]:
            return "above"
        return "below" if self.value < self.null_band[0] else "within"

    @property
    def against_chance(self) -> str | None:
        """``"above"``, ``"below"`` or ``"includes"``: the interval relative to the chance level, if both are known.

        A difference that was taken sample by sample decides, where there is one.
        """
        if self.difference is not None and self.difference.interval is not None:
            low, high = self.difference.interval
            return "above" if low > 0 else "below" if high < 0 else "includes"
        if self.interval is None or self.chance is None:
            return None
        if self.interval[0] > self.chance:
            return "above"
        return "below" if self.interval[1] < self.chance else "includes"


def read_number(value: Any, where: str) -> float:
    """Return ``value`` as a finite number.

    Raises:
        DataError: if it is no finite number; ``where`` names file and key.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise DataError(f"{where}: found {value!r}, expected a finite number; write the file anew")
    return float(value)


def read_pair(value: Any, where: str) -> tuple[float, float] | None:
    """Return ``value`` as ``(low, high)``; ``None`` and a pair with an undefined end mean that there is no interval.

    Raises:
        DataError: if it is no pair of numbers in ascending order.
    """
    if value is None:
        return None
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise DataError(f"{where}: found {value!r}, expected [low, high]; write the file anew")
    if any(end is None for end in value):
        return None
    low, high = read_number(value[0], where), read_number(value[1], where)
    if low > high:
        raise DataError(f"{where}: found {value!r}, expected the lower end first; write the file anew")
    return low, high


def read_table(table: Any, where: str) -> Mapping[str, Any]:
    """Return ``table`` if it is a JSON object.

    Raises:
        DataError: if it is not.
    """
    if not isinstance(table, Mapping):
        raise DataError(f"{where}: found {type(table).__name__}, expected a JSON object; write the file anew")
    return table


def read_estimates(table: Any, where: str, skip: tuple[str, ...] = ()) -> list[Estimate]:
    """Read every number in a (nested) JSON object.

    An entry is ``{"value": …, "ci95": [lo, hi], "null_band": [lo, hi], "chance": …, "n": …}`` (all but ``value``
    optional), a plain number, ``null`` or an object of such entries. Texts and lists are not numbers and are left out.

    Args:
        table: the object as parsed from JSON.
        where: file and key, for messages.
        skip: keys on the first level that hold something else.

    Raises:
        DataError: if an entry is malformed.

    Example:
        >>> [e.name for e in read_estimates({"f1": {"macro": {"value": 0.9}}, "n_bins": 10}, "x.json", ("n_bins",))]
        ['f1.macro']
    """
    kept = {key: value for key, value in read_table(table, where).items() if key not in skip}
    return list(_walk(kept, where, ""))


def _walk(table: Mapping[str, Any], where: str, prefix: str) -> Iterator[Estimate]:
    for key, entry in table.items():
        name, place = f"{prefix}{key}", f"{where}.{key}"
        if isinstance(entry, Mapping) and "value" in entry:
            yield _estimate(name, entry, place)
        elif isinstance(entry, Mapping):
            yield from _walk(entry, place, f"{name}.")
        elif entry is None:
            yield Estimate(name, None)
        elif isinstance(entry, int | float) and not isinstance(entry, bool):
            yield Estimate(name, read_number(entry, place))


def _estimate(name: str, entry: Mapping[str, Any], where: str) -> Estimate:
    def optional(key: str) -> float | None:
        value = entry.get(key)
        return None if value is None else read_number(value, f"{where}.{key}")

    n, unmasked = optional("n"), optional("n_without_mask")
    return Estimate(
        name=name,
        value=optional("value"),
        interval=read_pair(entry.get("ci95"), f"{where}.ci95"),
        null_band=read_pair(entry.get("null_band"), f"{where}.null_band"),
        chance=optional("chance"),
        n=None if n is None else int(n),
        n_without_mask=None if unmasked is None else int(unmasked),
        reason=None if entry.get("reason") is None else str(entry["reason"]),
        interval_from=None if entry.get("interval") is None else str(entry["interval"]),
        difference=None
        if entry.get("difference") is None
        else _estimate("difference", read_table(entry["difference"], f"{where}.difference"), f"{where}.difference"),
    )
