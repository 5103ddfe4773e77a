"""Quality of the explanations, method by method."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from shared.report.figures import quality_figure
from shared.report.gallery import read_method_quality
from shared.report.measures import Estimate, read_estimates, read_table
from shared.report.sources import Sources
from shared.report.wording import measure_title

__all__ = ["marker_section", "quality_section"]


def quality_section(sources: Sources) -> list[dict[str, Any]]:
    """Quality of the explanations: one entry per measure, the methods ordered by value; none without any mask."""
    measured = read_method_quality(sources)
    # without a mask explaining writes every measure as undefined
    measured = {name: found for name, found in measured.items() if any(e.value is not None for e in found)}
    return [
        {
            "measure": measure,
            "estimates": estimates,
            "figure": quality_figure(
                measure_title(measure),
                [replace(e, name=sources.marked_title(e.name)) for e in estimates],
                f"quality{i}",
            ),
        }
        for i, (measure, estimates) in enumerate(measured.items())
    ]


def marker_section(sources: Sources) -> dict[str, Any] | None:
    """How much of each method's maps lies on a mark that is no finding, by class; ``None`` if that was not measured.

    Raises:
        DataError: if an entry is malformed.
    """
    methods = (sources.explanations or {}).get("methods") or {}
    where = f"{sources.files.get('explanations/index.json')}: methods"
    rows: list[tuple[str, dict[str, Estimate]]] = []
    for name, entry in read_table(methods, where).items():
        marker = read_table(entry, f"{where}.{name}").get("marker")
        if marker:
            found = read_estimates(marker, f"{where}.{name}.marker")
            rows.append((sources.marked_title(name), {estimate.name: estimate for estimate in found}))
    if not rows:
        return None
    classes = list(dict.fromkeys(label for _, found in rows for label in found))
    any_entry = next(iter(rows[0][1].values()))
    return {"classes": classes, "rows": rows, "chance": any_entry.chance, "n": any_entry.n}
