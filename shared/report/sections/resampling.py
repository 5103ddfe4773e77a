"""What the bootstrap behind the intervals drew."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shared.report.measures import read_number, read_table

__all__ = ["resampling_of"]


def resampling_of(content: Mapping[str, Any] | None) -> dict[str, str | None]:
    """Say what was resampled, and what is to be kept in mind.

    Args:
        content: a metrics file or an index of explanations.

    Returns:
        ``words`` and ``warning``, each ``None`` if there is nothing to say, and ``unit``, what a sample is: ``patient``
        where each is another patient, else ``sample``.

    Raises:
        DataError: if ``resampled`` is malformed.
    """
    entry = (content or {}).get("resampled")
    if entry is None:
        return {"words": None, "warning": None, "unit": "sample"}
    table = read_table(entry, "resampled")
    n, by = int(read_number(table.get("n"), "resampled.n")), str(table.get("by"))
    drawn = f"{n} {by}{'' if n == 1 else 's'}"
    unit = by if n == (content or {}).get("n") else "sample"
    how = "drawn one by one" if unit == by else "drawn whole"
    words = f"The bootstrap behind them resamples {drawn}, {how}."
    if n < 2:
        words = f"There is one {by} only, which no bootstrap can resample: there are no intervals."
    warning = table.get("warning")
    return {"words": words, "warning": None if not warning else str(warning).rstrip("."), "unit": unit}
