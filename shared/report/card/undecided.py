"""Sanity checks that neither passed nor failed, as a card or the interpretability file has them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from shared.evaluation.interpretability.measures import MEASURES
from shared.evaluation.interpretability.verdict import LIMIT, SANITY_CHECKS, sanity_verdict

__all__ = ["undecided_checks", "undecided_titles"]


def undecided_checks(card: Mapping[str, Any], method: str) -> tuple[str, ...]:
    """Return the titles of the sanity checks that decide nothing of a method.

    Args:
        card: its content.
        method: key of the method.
    """
    return undecided_titles((row for table in card["elements"] for row in table["rows"]), method)


def undecided_titles(rows: Iterable[Mapping[str, Any]], method: str) -> tuple[str, ...]:
    """Return the same from rows of elements, of a card or of the interpretability file."""
    return tuple(
        MEASURES[row["measure"]].title
        for row in rows
        if row["measure"] in SANITY_CHECKS and row["method"] == method and row["value"] is not None
        if row.get("label") is None and row.get("size") is None and _verdict(row) == "undecided"
    )


def _verdict(row: Mapping[str, Any]) -> str:
    limit = (row.get("parameters") or {}).get("limit", LIMIT)
    return sanity_verdict(row["value"], row.get("ci95"), row.get("chance"), limit)
