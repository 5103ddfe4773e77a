"""What the page consists of: a part for each reader, with the sections that this reader asks for first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

__all__ = ["Part", "Section", "page_parts"]


@dataclass(frozen=True)
class Section:
    """A section of the page.

    Attributes:
        key: its id in the page and the name of its template.
        title: in the navigation; ``{bag}`` is what a bag is called.
        needs: value without which it is left out; ``None`` for one that is always there and says what is missing.
    """

    key: str
    title: str
    needs: str | None = None


@dataclass(frozen=True)
class Part:
    """What one kind of reader asks for.

    Attributes:
        key: its id in the page.
        title: its heading.
        words: what is found in it.
        sections: in their order.
    """

    key: str
    title: str
    words: str
    sections: tuple[Section, ...]


PARTS = (
    Part(
        "clinician",
        "For the clinician",
        "What the model says of single cases, how far it can be believed, and what is left to a person.",
        (
            Section("brief", "In brief"),
            Section("bags", "Explained {bag}s", "bags"),
            Section("slides", "Explained slides", "slides"),
            Section("cases", "Explained cases", "shows_cases"),
            Section("decisions", "Decisions"),
            Section("sensitivity", "Wanted sensitivity", "sensitivity"),
            Section("lesions", "Lesion size", "lesions"),
            Section("time_saving", "Reading time", "saving"),
        ),
    ),
    Part(
        "researcher",
        "For the researcher",
        "All measurements with their intervals, as tables and curves.",
        (
            Section("results", "Results"),
            Section("shortcuts", "Shortcut check", "shortcuts"),
            Section("repeatability", "Repeatability", "repeatability"),
            Section("alarms", "Alarms", "alarms"),
            Section("calibration", "Calibration"),
            Section("selective", "Risk and coverage"),
            Section("outliers", "Outliers"),
            Section("interpretability", "Interpretability"),
            Section("quality", "Explanation quality", "shows_quality"),
            Section("trade_off", "Other runs", "trade_off"),
        ),
    ),
    Part(
        "auditor",
        "For the developer and the auditor",
        "Where the numbers come from, what was checked, where the model fails, and what is not known.",
        (
            Section("failures", "Failures"),
            Section("subgroups", "Subgroups"),
            Section("sanity", "Methods and sanity checks"),
            Section("partitions", "Data partitions"),
            Section("limits", "Limits"),
            Section("provenance", "Provenance"),
        ),
    ),
)


def page_parts(values: Mapping[str, Any]) -> list[Part]:
    """Return the parts with those sections that there is something to say in.

    Args:
        values: of the page, by name.
    """
    words = (values["bags"] or {}).get("words") or {"bag": "case"}
    return [
        replace(
            part,
            sections=tuple(
                replace(section, title=section.title.format(**words))
                for section in part.sections
                if section.needs is None or values[section.needs]
            ),
        )
        for part in PARTS
    ]
