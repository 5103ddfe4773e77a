"""Decisions as taken, and risk over coverage."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from shared.report.acceptance import acceptances
from shared.report.acceptance_text import acceptance_sentences, acceptance_warning, verdict_words
from shared.report.curves import (
    OperatingPoint,
    confidence_histogram,
    operating_point,
    read_risk_coverage,
    wilson,
)
from shared.report.figures import (
    confidence_figure,
    risk_coverage_figure,
)
from shared.report.measures import Estimate, read_estimates, read_number, read_table
from shared.report.sources import Sources

__all__ = ["DecisionRow", "acceptance_section", "decision_section", "selective_section"]

COVERAGES = (1.0, 0.95, 0.9, 0.8, 0.7, 0.5)


@dataclass(frozen=True)
class DecisionRow:
    """How many samples got one decision, and how many of these were right (with 95 % Wilson intervals)."""

    decision: str
    count: int
    share: float
    share_interval: tuple[float, float]
    accuracy: float | None
    accuracy_interval: tuple[float, float] | None
    reasons: list[tuple[str, int]]  # why not accepted


def decision_section(sources: Sources) -> list[dict[str, Any]]:
    """Decisions of each task: table of the known samples, and the histogram of confidence."""
    thresholds = _thresholds(sources)
    tasks = []
    for i, (task, frame) in enumerate(sources.tasks().items()):
        known = frame[frame["kind"] == ""]
        order = [name for name in ("accept", "defer", "reject") if (known["decision"] == name).any()]
        order += sorted(set(known["decision"]) - set(order) - {""})
        counts = confidence_histogram(frame)
        tasks.append(
            {
                "task": task,
                "n": len(known),
                "rows": [_decision_row(known, name) for name in order],
                "outliers": int((frame["kind"] != "").sum()),
                "figure": confidence_figure(counts, thresholds, f"conf{i}") if counts else None,
                "thresholds": sorted(thresholds),
            }
        )
    return tasks


def acceptance_section(sources: Sources) -> dict[str, Any] | None:
    """What accepting is worth in words, of the whole and of each question; ``None`` without labelled predictions."""
    found = acceptances(sources)
    if not found:
        return None
    return {
        "warning": acceptance_warning(found),
        "said": acceptance_sentences(found[0]),
        "tasks": {task.task: {"right": task.whole.right, "words": verdict_words(task)} for task in found[1:]},
    }


def _decision_row(known: pd.DataFrame, decision: str) -> DecisionRow:
    chosen = known[known["decision"] == decision]
    labelled = chosen[chosen["label"] != ""]
    right, n = int((labelled["label"] == labelled["prediction"]).sum()), len(labelled)
    # "confidence 0.12 below 0.20" and "confidence 0.15 below 0.20" are one reason
    reasons = chosen["reason"].str.replace(re.compile(r"[-+]?\d+(\.\d+)?(e[-+]?\d+)?"), "…", regex=True)
    counted = reasons[reasons != ""].value_counts()
    return DecisionRow(
        decision=decision,
        count=len(chosen),
        share=len(chosen) / len(known),
        share_interval=wilson(len(chosen), len(known)),
        accuracy=right / n if n else None,
        accuracy_interval=wilson(right, n) if n else None,
        reasons=[(str(reason), int(count)) for reason, count in counted.head(3).items() if decision != "accept"],
    )


def _thresholds(sources: Sources) -> dict[str, float]:
    """Thresholds of the chance-corrected confidence, as calibrating chose them."""
    table, where = sources.fitted("confidence")
    named = {"reject below": "minimum", "accept from": "accept"}
    return {
        title: read_number(table[key], f"{where}.{key}") for title, key in named.items() if table.get(key) is not None
    }


def selective_section(sources: Sources) -> list[dict[str, Any]]:
    """Risk–coverage curve of each task, with the decisions as taken and the target risk."""
    table, where = sources.measured("selective")
    if not table:
        return []
    curves = {"": table} if "coverage" in table else {k: v for k, v in table.items() if isinstance(v, Mapping)}
    confidence, place = sources.fitted("confidence")
    target = confidence.get("target_risk")
    if target is not None:
        target = read_number(target, f"{place}.target_risk")
    frames, tasks = sources.tasks(), []
    for i, (task, entry) in enumerate(curves.items()):
        place = f"{where}.{task}" if task else where
        curve = read_risk_coverage(entry, place)
        point: OperatingPoint | None = operating_point(frames[task]) if task in frames else None
        tasks.append(
            {
                "task": task,
                "figure": risk_coverage_figure(curve, point, target, f"risk{i}"),
                "point": point,
                "target": target,
                "rows": [(c, curve.at(c)) for c in COVERAGES if c >= curve.coverage[0]],
                "estimates": read_estimates(entry, place, ("n",)),
                "at_risk": _coverage_at_risk(entry, f"{place}.coverage_at_risk"),
            }
        )
    return tasks


def _coverage_at_risk(entry: Mapping[str, Any], where: str) -> list[tuple[float, Estimate]]:
    """Return the coverages reached at the target risks that were asked for."""
    found = []
    for i, row in enumerate(entry.get("coverage_at_risk") or []):
        place = f"{where}[{i}]"
        target = read_number(read_table(row, place).get("target_risk"), f"{place}.target_risk")
        found.append((target, read_estimates({"coverage": row}, place)[0]))
    return found
