"""Quality of explanations of bags: a table of all methods, positive and negative bags apart, and its plots."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from shared.report.bag_quality import LOW_IS_GOOD, QualityRow, read_bag_quality
from shared.report.figures import quality_figure
from shared.report.perturbation_figure import perturbation_figure
from shared.report.sources import Sources
from shared.report.wording import measure_title

__all__ = ["bag_quality_section"]

#: what is drawn beside the table: faithfulness, and agreement with the truth
DRAWN = ("aupc_drop", "aopc_r", "instance_ndcg", "froc")


def bag_quality_section(sources: Sources) -> dict[str, Any] | None:
    """Quality of every method on the same bags; ``None`` if it was not measured."""
    quality = read_bag_quality(sources)
    if quality is None:
        return None
    figures = [
        _figure(sources, measure, quality.positive, f"bagquality{i}")
        for i, measure in enumerate(DRAWN)
        if measure in quality.measures(quality.positive)
    ]
    titled = {sources.marked_title(name): kinds for name, kinds in quality.curves.items()}
    return {
        "quality": quality,
        "tables": [
            (kind, count, quality.measures(rows), rows)
            for kind, count, rows in (
                ("positive", quality.bags[0], quality.positive),
                ("negative", quality.bags[1], quality.negative),
            )
            if rows
        ],
        "low_is_good": LOW_IS_GOOD,
        "figures": figures,
        "curves": None if not quality.curves else perturbation_figure(titled, "curves"),
    }


def _figure(sources: Sources, measure: str, rows: Sequence[QualityRow], name: str) -> str:
    low = measure in LOW_IS_GOOD
    found = [(row.method, row.measured[measure]) for row in rows if measure in row.measured]
    found.sort(key=lambda pair: math.inf if pair[1].value is None else pair[1].value * (1 if low else -1))
    estimates = [replace(estimate, name=sources.marked_title(method)) for method, estimate in found]
    return quality_figure(f"{measure_title(measure)} ({'low' if low else 'high'} is good)", estimates, name)
