"""Outliers: what was caught, and how well each score tells them apart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shared.data.errors import DataError
from shared.report.figures import (
    outlier_figure,
)
from shared.report.measures import Estimate, read_estimates, read_number, read_pair, read_table
from shared.report.sources import Sources

__all__ = ["outlier_section"]

#: Share of each kind of outlier that should be caught, and of the known classes that should be kept.
GOAL = 0.95


def outlier_section(sources: Sources) -> dict[str, Any] | None:
    """Caught share of each kind of outlier, what is kept of the known classes, AUROC and FPR95 of each score."""
    table, where = sources.measured("outliers")
    kinds = {kind: read_table(entry, f"{where}.{kind}") for kind, entry in table.items() if isinstance(entry, Mapping)}
    kinds = {kind: entry for kind, entry in kinds.items() if "caught" in entry}
    if not kinds:
        return None
    caught = []
    for kind, entry in kinds.items():
        place = f"{where}.{kind}"
        value = read_number(entry["caught"], f"{place}.caught")
        if not 0 <= value <= 1:
            raise DataError(f"{place}.caught: found {value}, expected a share of 0 to 1; run evaluating again")
        n = None if entry.get("n") is None else int(read_number(entry["n"], f"{place}.n"))
        caught.append(Estimate(kind, value, read_pair(entry.get("ci95"), f"{place}.ci95"), n=n))
    scores = {}
    for measure in ("auroc", "fpr95"):
        found = {kind: read_estimates(e.get(measure) or {}, f"{where}.{kind}.{measure}") for kind, e in kinds.items()}
        rows: dict[str, dict[str, Estimate]] = {}
        for kind, estimates in found.items():
            for estimate in estimates:
                rows.setdefault(estimate.name, {})[kind] = estimate
        if rows:
            # there are more scores than kinds: a score is a row
            scores[measure] = {"columns": list(kinds), "rows": rows}
    fitted = sources.fitted("outlier")[0]
    chosen = fitted.get("members") or fitted.get("score") or []
    chosen = [chosen] if isinstance(chosen, str) else [str(name) for name in chosen]
    metrics, place = sources.measured("metrics")
    kept = [e for e in read_estimates(metrics, place) if e.name == "kept_share"]
    return {
        "caught": [(estimate, _against_goal(estimate)) for estimate in caught],
        "kept": [(estimate, _against_goal(estimate)) for estimate in kept],
        "n": (sources.metrics or {}).get("n"),
        "goal": GOAL,
        "scores": scores,
        "chosen": chosen,
        "figure": outlier_figure(caught, GOAL, "out"),
    }


def _against_goal(share: Estimate) -> str:
    """Say whether a share reaches the goal, and whether its interval tells."""
    if share.value is None:
        return "not measured"
    reached = share.value >= GOAL
    if share.interval is None:
        return "reached" if reached else "missed"
    low, high = share.interval
    if low <= GOAL <= high:
        return f"{'reached' if reached else 'missed'}, within the interval"
    return "reached" if reached else "missed"
