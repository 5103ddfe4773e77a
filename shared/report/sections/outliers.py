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


def outlier_section(sources: Sources) -> dict[str, Any] | None:
    """Caught share of each kind of outlier, AUROC and FPR95 of each score."""
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
        columns = list(dict.fromkeys(e.name for estimates in found.values() for e in estimates))
        if columns:
            rows = {kind: {e.name: e for e in estimates} for kind, estimates in found.items()}
            scores[measure] = {"columns": columns, "rows": rows}
    fitted = sources.fitted("outlier")[0]
    chosen = fitted.get("members") or fitted.get("score") or []
    chosen = [chosen] if isinstance(chosen, str) else [str(name) for name in chosen]
    return {"caught": caught, "scores": scores, "chosen": chosen, "figure": outlier_figure(caught, "out")}
