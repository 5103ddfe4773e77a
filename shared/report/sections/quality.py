"""Quality of the explanations, method by method."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from shared.report.figures import quality_figure
from shared.report.gallery import read_method_quality
from shared.report.sources import Sources
from shared.report.wording import measure_title

__all__ = ["quality_section"]


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
                [replace(e, name=sources.method_title(e.name)) for e in estimates],
                f"quality{i}",
            ),
        }
        for i, (measure, estimates) in enumerate(measured.items())
    ]
