"""What differs between two nested settings, in one line that a person can read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["tell_differences"]

#: differences that are named; the others are counted
NAMED = 5


def tell_differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Return what differs between two nested mappings of plain JSON values; empty if nothing does.

    A mapping that is there on one side only is not written out.

    Args:
        before: the earlier values.
        now: the later ones.

    Example:
        >>> tell_differences({"seed": 0, "optics": {"pixel": 0.3}}, {"seed": 1, "optics": {"pixel": 0.4}})
        'optics.pixel 0.3 → 0.4, seed 0 → 1'
    """
    found = list(_differences(before, now))
    more = len(found) - NAMED
    return ", ".join(found[:NAMED]) + (f" and {more} more" if more > 0 else "")


def _differences(before: Mapping[str, Any], now: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key in sorted(before.keys() | now.keys()):
        old, new = before.get(key), now.get(key)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            yield from _differences(old, new, f"{prefix}{key}.")
        elif old != new:
            yield f"{prefix}{key} {_brief(old)} → {_brief(new)}"


def _brief(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"({len(value)} settings)" if value else "{}"
    return "none" if value is None else repr(value)
