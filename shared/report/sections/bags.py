"""Bags of instances: the most telling cells or tiles of each, and how experts share the decision."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from shared.report.bag_figures import expert_scatter_figure, expert_split_figure
from shared.report.bags import EXPERTS, ExpertSplit, read_bags, read_experts, words
from shared.report.gallery import explained_count
from shared.report.sources import Sources

__all__ = ["bag_section"]


def bag_section(sources: Sources) -> dict[str, Any] | None:
    """Explained bags with their galleries, and all bags' experts; ``None`` if no bag was explained."""
    bags = read_bags(sources)
    if not bags:
        return None
    positive = str((sources.metrics or {}).get("positive_class") or sources.classes[-1])
    splits = read_experts(sources)
    figures = [
        None if bag.experts is None else expert_split_figure(bag.experts, positive, f"split{i}")
        for i, bag in enumerate(bags)
    ]
    return {
        "words": words(sources),
        "positive": positive,
        "bags": list(zip(bags, figures, strict=True)),
        "known": any(cell.truth for bag in bags for cell in (*bag.highest, *bag.lowest)),
        "total": explained_count(sources, "bag"),
        "splits": splits,
        "apart": [split for split in splits if (split.image > 0.5) != (split.attributes > 0.5)],
        "alone": _alone(splits, positive),
        "scatter": expert_scatter_figure(splits, sources.classes, positive, "experts") if splits else None,
    }


def _alone(splits: Sequence[ExpertSplit], positive: str) -> list[dict[str, Any]]:
    """What each expert would diagnose by itself.

    Returns:
        For each expert its ``name``, how many bags it ``calls`` positive, how many of the labelled ones it has
        ``right``, and whether it says the ``same`` of all but one in twenty.
    """
    experts = []
    for name in EXPERTS if splits else ():
        says = [getattr(split, name) > 0.5 for split in splits]
        experts.append(
            {
                "name": name,
                "calls": sum(says),
                "right": sum(
                    said == (split.label == positive) for said, split in zip(says, splits, strict=True) if split.label
                ),
                "labelled": sum(bool(split.label) for split in splits),
                "same": min(sum(says), len(says) - sum(says)) <= len(says) / 20,
            }
        )
    return experts
