"""Result against the quality of explanations, where a bundle has several runs beside each other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from shared.data.errors import DataError
from shared.report.card.content import card_content
from shared.report.card.write import CARD, read_card
from shared.report.runs import Run
from shared.report.sources import Sources
from shared.report.trade_off import trade_off_of_runs
from shared.report.trade_off_text import trade_off_part

__all__ = ["trade_off_section"]


def trade_off_section(sources: Sources) -> dict[str, Any] | None:
    """Set this run beside those whose cards lie next to it; ``None`` where there is no other.

    Runs of a bundle lie next to each other if their evaluation folders do: ``--output_dir bundles/<name>/eval_2``.

    Returns:
        ``parts`` as the template ``trade_off_parts.html.j2`` takes them, and ``left_out``: sentences on runs that
        cannot be set beside this one.
    """
    left_out: list[str] = []
    others = list(_others(sources, left_out))
    if not others:
        return None
    runs = [Run(sources.eval_dir.name, card_content(sources), sources.eval_dir)]
    parts = []
    try:
        parts = trade_off_of_runs([*runs, *others], named=True)
    except DataError as error:
        left_out.append(str(error))
    return {"parts": [trade_off_part(part, f"tradeoff{i}") for i, part in enumerate(parts)], "left_out": left_out}


def _others(sources: Sources, left_out: list[str]) -> Iterator[Run]:
    own = sources.eval_dir.resolve()
    for path in sorted(own.parent.glob(f"*/{CARD}")):
        if path.parent == own:
            continue
        try:
            card = read_card(path)
        except DataError as error:
            left_out.append(str(error))
            continue
        if card["bundle"] == sources.bundle:
            yield Run(path.parent.name, card, path)
