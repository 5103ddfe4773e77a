"""Which explanation for which purpose: the choice for each element of this run."""

from __future__ import annotations

from typing import Any

from shared.report.card.content import card_content
from shared.report.purposes_text import HEADER, READING, purpose_rows
from shared.report.runs import Run
from shared.report.sources import Sources

__all__ = ["purposes_section"]


def purposes_section(sources: Sources) -> dict[str, Any] | None:
    """Return ``header``, ``rows`` and ``reading`` of the table; ``None`` where nothing was explained."""
    if sources.interpretability is None:
        return None
    run = Run(sources.bundle, card_content(sources), sources.eval_dir, sources)
    return {"header": HEADER, "rows": purpose_rows(run), "reading": READING}
