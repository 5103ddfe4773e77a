"""Calibration: errors before and after, reliability diagrams, the fitted temperature."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shared.report.curves import (
    read_reliability,
)
from shared.report.figures import (
    reliability_figure,
)
from shared.report.measures import Estimate, read_estimates, read_table
from shared.report.sections.fitted import bound_warning, fitted_in_words, temperature_rows, why_no_calibration
from shared.report.sources import Sources
from shared.report.wording import MAIN_ERRORS

__all__ = ["CalibrationRow", "calibration_section"]

STAGES = ("before", "after")
NOT_ERRORS = ("reliability", "n_bins", "n", "resamples", "simulations", "seed")


@dataclass(frozen=True)
class CalibrationRow:
    """One calibration measure before and after calibration."""

    name: str
    before: Estimate | None
    after: Estimate | None


def calibration_section(sources: Sources) -> dict[str, Any]:
    """Calibration errors before and after and the reliability diagram, once or for each label."""
    table, where = sources.measured("calibration")
    stages: dict[str, dict[str, tuple[Mapping[str, Any], str]]] = {}
    for stage in STAGES:
        if table.get(stage):
            entry, place = read_table(table[stage], f"{where}.{stage}"), f"{where}.{stage}"
            labels = {"": entry} if "labels" not in entry else read_table(entry["labels"], f"{place}.labels")
            for task, part in labels.items():
                own = f"{place}.labels.{task}" if task else place
                merged = {key: entry[key] for key in ("n_bins",) if key in entry} | dict(read_table(part, own))
                stages.setdefault(task, {})[stage] = (merged, own)
    tasks = [_calibration_of(task, found, f"reliability{i}") for i, (task, found) in enumerate(stages.items())]
    return {
        "tasks": tasks,
        "temperature": temperature_rows(sources),
        "warning": bound_warning(sources),
        "why_none": why_no_calibration(sources),
        "words": fitted_in_words(sources),
    }


def _calibration_of(task: str, stages: Mapping[str, tuple[Mapping[str, Any], str]], name: str) -> dict[str, Any]:
    errors = {
        stage: {e.name: e for e in read_estimates(entry, place, NOT_ERRORS)} for stage, (entry, place) in stages.items()
    }
    names = list(dict.fromkeys(key for found in errors.values() for key in found))
    main = [key for key in MAIN_ERRORS if key in names] or names
    bins = {
        stage: read_reliability(entry["reliability"], f"{place}.reliability")
        for stage, (entry, place) in stages.items()
        if entry.get("reliability") is not None
    }
    titles = {stage: f"{stage} calibration" for stage in bins}

    def rows(chosen: list[str]) -> list[CalibrationRow]:
        return [CalibrationRow(key, *(errors.get(stage, {}).get(key) for stage in STAGES)) for key in chosen]

    entries = [entry for entry, _ in stages.values()]
    return {
        "task": task,
        "rows": rows(main),
        "more": rows([key for key in names if key not in main]),
        "n": next((entry["n"] for entry in entries if "n" in entry), None),
        "n_bins": next((entry["n_bins"] for entry in entries if "n_bins" in entry), None),
        "bins": bins,
        "figure": reliability_figure({titles[s]: found for s, found in bins.items()}, name) if bins else None,
    }
