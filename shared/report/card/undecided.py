"""Sanity checks that neither passed nor failed, as a card has them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shared.evaluation.interpretability.measures import MEASURES
from shared.evaluation.interpretability.verdict import LIMIT, SANITY_CHECKS, sanity_verdict

__all__ = ["undecided_checks"]


def undecided_checks(card: Mapping[str, Any], method: str) -> tuple[str, ...]:
    """Return the titles of the sanity checks that decide nothing of a method.

    Args:
        card: its content.
        method: key of the method.
    """
    rows = [
        row
        for table in card["elements"]
        for row in table["rows"]
        if row["measure"] in SANITY_CHECKS and row["method"] == method and row["value"] is not None
        if row["label"] is None and row["size"] is None
    ]
    return tuple(MEASURES[row["measure"]].title for row in rows if _verdict(row) == "undecided")


def _verdict(row: Mapping[str, Any]) -> str:
    limit = (row.get("parameters") or {}).get("limit", LIMIT)
    return sanity_verdict(row["value"], row["ci95"], row.get("chance"), limit)
