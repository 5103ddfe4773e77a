"""What each section of the page says, as plain values for the template. ``None`` or empty is "not measured"."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from shared.data.errors import DataError
from shared.data.files import sha256_file
from shared.report.curves import (
    OperatingPoint,
    confidence_histogram,
    operating_point,
    read_reliability,
    read_risk_coverage,
    wilson,
)
from shared.report.figures import (
    confidence_figure,
    confusion_figure,
    outlier_figure,
    quality_figure,
    reliability_figure,
    risk_coverage_figure,
)
from shared.report.gallery import read_method_quality
from shared.report.measures import Estimate, read_estimates, read_number, read_pair, read_table
from shared.report.sources import Sources
from shared.report.wording import HEADLINE, MAIN_ERRORS, measure_title, method_title

__all__ = [
    "calibration_section",
    "confusion_section",
    "decision_section",
    "headline_section",
    "outlier_section",
    "provenance_section",
    "purpose_section",
    "quality_section",
    "selective_section",
]

STAGES = ("before", "after")
NOT_ERRORS = ("reliability", "n_bins", "n", "resamples", "simulations", "seed")
COVERAGES = (1.0, 0.95, 0.9, 0.8, 0.7, 0.5)


def _part(sources: Sources, key: str) -> tuple[Mapping[str, Any], str]:
    """Return one object of the metrics file, empty if absent, and its place for messages."""
    where = f"{sources.files.get('metrics.json')}: {key}"
    return read_table((sources.metrics or {}).get(key) or {}, where), where


def purpose_section(sources: Sources) -> dict[str, Any]:
    """What the model is for and not for, in the words of ``configs/metadata.json``."""
    metadata = sources.metadata or {}
    limits = metadata.get("limits") or []
    if not isinstance(limits, str | list):
        raise DataError(
            f"{sources.files['metadata.json']}: limits: found {limits!r}, expected a text or a list of texts"
        )
    return {
        "title": str(metadata.get("name") or sources.bundle),
        "version": metadata.get("version"),
        "task": metadata.get("task"),
        "description": metadata.get("description"),
        "data_source": metadata.get("data_source"),
        "intended_use": metadata.get("intended_use"),
        "limits": [limits] if isinstance(limits, str) else [str(limit) for limit in limits],
    }


def headline_section(sources: Sources) -> dict[str, Any]:
    """Metrics: the few that stand at the top, those of the whole, and those of each class side by side."""
    table, where = _part(sources, "metrics")
    named = {estimate.name: estimate for estimate in read_estimates(table, where)}
    of_class: dict[str, dict[str, Estimate]] = {}
    for label in sources.classes:
        for name in [name for name in named if name.endswith(f"_{label}")]:
            of_class.setdefault(name.removesuffix(f"_{label}"), {})[label] = named.pop(name)
    metrics = sources.metrics or {}
    return {
        "top": [named[name] for name in HEADLINE if name in named][:3] or list(named.values())[:3],
        "all": list(named.values()),
        "classes": sources.classes if of_class else [],
        "of_class": of_class,
        "n": metrics.get("n"),
        "split": metrics.get("split"),
    }


def confusion_section(sources: Sources) -> list[dict[str, Any]]:
    """Confusion matrices: the one in the metrics, or for several labels one each, counted in the predictions."""
    matrix = (sources.metrics or {}).get("confusion_matrix")
    if matrix is not None:
        tables = {"": (np.array(matrix, dtype=np.int64), sources.classes)}
    else:
        tasks = {task: frame for task, frame in sources.tasks().items() if task}
        tables = {
            task: (np.array([[_count(frame, a, b) for b in "01"] for a in "01"]), ["absent", "present"])
            for task, frame in tasks.items()
            if (frame["label"] != "").any()
        }
    return [
        {"task": task, "classes": names, "counts": counts.tolist(), "figure": confusion_figure(counts, names, f"cm{i}")}
        for i, (task, (counts, names)) in enumerate(tables.items())
    ]


def _count(task: pd.DataFrame, label: str, prediction: str) -> int:
    return int(((task["label"] == label) & (task["prediction"] == prediction)).sum())


@dataclass(frozen=True)
class CalibrationRow:
    """One calibration measure before and after calibration."""

    name: str
    before: Estimate | None
    after: Estimate | None


def calibration_section(sources: Sources) -> dict[str, Any]:
    """Calibration errors before and after and the reliability diagram, once or for each label."""
    table, where = _part(sources, "calibration")
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
    return {"tasks": tasks, "temperature": _flat(_fitted(sources, "temperature")[0])}


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


def _fitted(sources: Sources, key: str) -> tuple[Mapping[str, Any], str]:
    """Return one object of the calibration file, empty if absent, and its place for messages."""
    where = f"{sources.files.get('calibration.json')}: {key}"
    return read_table((sources.calibration or {}).get(key) or {}, where), where


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
            }
        )
    return tasks


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
    table, where = _fitted(sources, "confidence")
    named = {"reject below": "minimum", "accept from": "accept"}
    return {
        title: read_number(table[key], f"{where}.{key}") for title, key in named.items() if table.get(key) is not None
    }


def selective_section(sources: Sources) -> list[dict[str, Any]]:
    """Risk–coverage curve of each task, with the decisions as taken and the target risk."""
    table, where = _part(sources, "selective")
    if not table:
        return []
    curves = {"": table} if "coverage" in table else {k: v for k, v in table.items() if isinstance(v, Mapping)}
    confidence, place = _fitted(sources, "confidence")
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


def outlier_section(sources: Sources) -> dict[str, Any] | None:
    """Caught share of each kind of outlier, AUROC and FPR95 of each score."""
    table, where = _part(sources, "outliers")
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
    chosen = _fitted(sources, "outlier")[0].get("score")
    return {"caught": caught, "scores": scores, "chosen": chosen, "figure": outlier_figure(caught, "out")}


def quality_section(sources: Sources) -> list[dict[str, Any]]:
    """Quality of the explanations: one entry per measure, the methods ordered by value."""
    return [
        {
            "measure": measure,
            "estimates": estimates,
            "figure": quality_figure(
                measure_title(measure),
                [replace(e, name=method_title(e.name)) for e in estimates],
                f"quality{i}",
            ),
        }
        for i, (measure, estimates) in enumerate(read_method_quality(sources).items())
    ]


def provenance_section(sources: Sources) -> dict[str, Any]:
    """Where the numbers come from: recorded provenance, methods' parameters, the files read, and contradictions."""
    tables = {"Evaluation": "metrics", "Calibration": "calibration", "Explanations": "explanations"}
    records = {
        title: rows for title, key in tables.items() if (rows := _flat((getattr(sources, key) or {}).get("provenance")))
    }
    methods = read_table((sources.explanations or {}).get("methods") or {}, "explanations/index.json: methods")
    return {
        "records": records,
        "methods": {
            name: _flat({key: value for key, value in entry.items() if key != "quality"})
            for name, entry in methods.items()
            if isinstance(entry, Mapping)
        },
        "files": [(name, sha256_file(path)) for name, path in sources.files.items()],
        "warnings": _contradictions(sources),
    }


def _flat(value: Any, prefix: str = "") -> list[tuple[str, str]]:
    """Turn nested objects into rows ``(key.key, text)``."""
    if isinstance(value, Mapping):
        return [row for key, entry in value.items() for row in _flat(entry, f"{prefix}.{key}" if prefix else str(key))]
    if isinstance(value, list) and any(isinstance(entry, Mapping) for entry in value):
        return [row for i, entry in enumerate(value) for row in _flat(entry, f"{prefix}.{i}")]
    if value is None and not prefix:
        return []
    return [(prefix, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))]


def _contradictions(sources: Sources) -> list[str]:
    """Say where files of different models were put together."""
    used = {}
    for name, content in (
        ("calibration.json", sources.calibration),
        ("metrics.json", sources.metrics),
        ("explanations/index.json", sources.explanations),
    ):
        found = _weight_hashes(content or {})
        if found:
            used[name] = found
    if not used or set.intersection(*used.values()):
        return []
    listed = "; ".join(f"{name}: {', '.join(digest[:12] for digest in sorted(found))}" for name, found in used.items())
    return [f"These files belong to different weights ({listed}). Calibrate, evaluate and explain again."]


def _weight_hashes(content: Mapping[str, Any]) -> set[str]:
    """Return the hashes of the weights that a file was made with: its own key, or those in its provenance."""
    if content.get("weights_sha256"):
        return {str(content["weights_sha256"])}
    provenance = content.get("provenance")
    weights = provenance.get("weights") if isinstance(provenance, Mapping) else None
    return {str(entry["sha256"]) for entry in weights or [] if isinstance(entry, Mapping) and entry.get("sha256")}
