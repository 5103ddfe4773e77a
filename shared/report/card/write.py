"""Write the card of an evaluation, and what is rendered from it, beside the report."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shared.data.errors import DataError
from shared.data.files import atomic_path, read_json, write_json
from shared.report.card.checklist import checklist_markdown
from shared.report.card.claim import CLAIM
from shared.report.card.content import FORMAT, SCHEMA, card_content
from shared.report.card.model_card import model_card
from shared.report.card.tripod_ai import TRIPOD_AI
from shared.report.sources import Sources

__all__ = ["CARD", "SCHEMA_FILE", "read_card", "write_card"]

CARD = "card.json"
#: JSON Schema (2020-12) of the card
SCHEMA_FILE = Path(__file__).with_name("schema.json")
_RENDERED = {
    "model_card.md": model_card,
    "checklist_tripod_ai.md": lambda card: checklist_markdown(TRIPOD_AI, card),
    "checklist_claim.md": lambda card: checklist_markdown(CLAIM, card),
}


def write_card(sources: Sources, folder: str | os.PathLike[str]) -> list[Path]:
    """Write ``card.json``, ``model_card.md``, ``checklist_tripod_ai.md`` and ``checklist_claim.md``.

    Args:
        sources: the files of an evaluation.
        folder: where to write.

    Returns:
        The files written, the card first.

    Raises:
        DataError: if a file of the evaluation is malformed.
    """
    card = card_content(sources)
    paths = [Path(folder) / CARD]
    write_json(paths[0], card)
    for name, render in _RENDERED.items():
        text = render(card)
        with atomic_path(Path(folder) / name) as temporary:
            temporary.write_text(text, encoding="utf-8")
        paths.append(Path(folder) / name)
    return paths


def read_card(path: str | os.PathLike[str]) -> Mapping[str, Any]:
    """Read a card.

    Raises:
        DataError: if it is missing, no JSON, or no card of this format.
    """
    content = read_json(path)
    found = (content.get("$schema"), content.get("format")) if isinstance(content, dict) else type(content).__name__
    if found != (SCHEMA, FORMAT):
        raise DataError(f"{path}: found {found!r}, expected the card {SCHEMA}; build the report again")
    return content
