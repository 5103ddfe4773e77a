"""What differs between two nested settings, in one line that a person can read."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["tell_differences"]

#: differences that are named; the others are counted
NAMED = 5
#: characters of a value that are told, and of these those before the first that differs
LONGEST, CONTEXT = 48, 16


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
            yield "{}{} {} → {}".format(prefix, key, *_brief(old, new))


def _brief(*values: Any) -> list[str]:
    """Return values as short text; of long ones only from shortly before the place from which on they differ."""
    texts = [_text(value) for value in values]
    alike = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(*texts, strict=False)))
    start = max(0, alike - CONTEXT)
    return [text if len(text) <= LONGEST else "…" * (start > 0) + _cut(text[start:]) for text in texts]


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"({len(value)} settings)" if value else "{}"
    return "none" if value is None else repr(value)
