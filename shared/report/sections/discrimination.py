"""How well the class to be found is told apart, and what would be reached without the images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shared.report.measures import read_estimates, read_table
from shared.report.rate_curve_figure import precision_recall_figure, roc_figure
from shared.report.sources import Sources

__all__ = ["discrimination_section", "shortcut_section"]


def discrimination_section(sources: Sources) -> dict[str, Any] | None:
    """ROC and precision–recall curve of the class to be found; ``None`` where there are more than two classes."""
    positive = (sources.metrics or {}).get("positive_class")
    if positive is None:
        return None
    table, where = sources.measured("metrics")
    named = {estimate.name: estimate for estimate in read_estimates(table, where)}
    figure = roc_figure(sources, named.get("roc_auc"), str(positive), "roc")
    if figure is None:
        return None
    return {
        "positive": str(positive),
        "figure": figure,
        "precision_recall": precision_recall_figure(sources, named.get("average_precision"), str(positive), "pr"),
    }


def shortcut_section(sources: Sources) -> dict[str, Any] | None:
    """What single attributes reach on their own, and the model's lead over them; ``None`` if it was not measured."""
    table, where = sources.measured("shortcuts")
    if not table:
        return None
    rows = []
    for name, entry in read_table(table.get("checks"), f"{where}.checks").items():
        place = f"{where}.checks.{name}"
        check = read_table(entry, place)
        named = [
            {e.name: e for e in read_estimates(check.get(key) or {}, f"{place}.{key}")}
            for key in ("metrics", "model_minus_shortcut")
        ]
        rows.append({"name": name, "metrics": named[0], "lead": named[1], "verdict": _verdict(named[1])})
    return {"rows": rows, "n_training": table.get("n_training")}


def _verdict(lead: Mapping[str, Any]) -> str:
    """Say whether the model's ROC AUC is above that of the shortcut."""
    area = lead.get("roc_auc")
    if area is None or area.interval is None:
        return "no interval"
    low, high = area.interval
    if low > 0:
        return "the model is better"
    return "the model is worse" if high < 0 else "no difference shown"
