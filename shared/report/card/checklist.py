"""A reporting checklist: its items by number, answered from the card as far as it goes, the others open."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shared.report.card.answers import Answer
from shared.report.card.fields import NOT_TRUSTED
from shared.report.markdown import markdown_table, markdown_text

__all__ = ["OPEN", "Checklist", "Item", "checklist_markdown", "filled_in"]

OPEN = "open"


@dataclass(frozen=True)
class Item:
    """One item.

    Attributes:
        number: as in the source.
        section: as in the source.
        name: what is asked for, briefly and in words of our own; the source has the wording that counts.
        answer: takes the card, returns what it says; ``None`` for an item that no file can answer.
        whole: whether that is all that the item asks for; else a part is left to people.
    """

    number: str
    section: str
    name: str
    answer: Answer | None = None
    whole: bool = False


@dataclass(frozen=True)
class Checklist:
    """A checklist.

    Attributes:
        title: its name.
        source: paper with its DOI.
        items: in the order of the source.
    """

    title: str
    source: str
    items: tuple[Item, ...]


def filled_in(checklist: Checklist, card: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """Return status (``answered``, ``in part`` or ``open``) and answer of each item by its number.

    An answer with intervals that are not to be trusted is one in part.
    """
    answers = {item.number: item.answer(card) if item.answer else None for item in checklist.items}
    whole = {item.number: item.whole for item in checklist.items}
    return {
        key: (OPEN, "")
        if answer is None
        else ("answered" if whole[key] and NOT_TRUSTED not in answer else "in part", answer)
        for key, answer in answers.items()
    }


def checklist_markdown(checklist: Checklist, card: Mapping[str, Any]) -> str:
    """Return the checklist as Markdown."""
    answers = filled_in(checklist, card)
    counts = Counter(status for status, _ in answers.values())
    lines = [
        f"# {checklist.title}: {markdown_text(card['model']['title'])}",
        "",
        f"Filled in from the files of the evaluation: of {len(answers)} items {counts['answered']} are answered, "
        f"{counts['in part']} in part, {counts[OPEN]} are open. What is open or in part, no file tells, and people "
        "must. An answer says what the files say, not that it suffices.",
        "",
        f"Items by number and in brief after {checklist.source}; the wording there counts.",
        "",
        *markdown_table(
            ("item", "section", "asks for", "status", "answer"),
            ((item.number, item.section, item.name, *answers[item.number]) for item in checklist.items),
        ),
    ]
    return "\n".join(lines) + "\n"
