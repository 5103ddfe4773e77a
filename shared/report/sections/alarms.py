"""Alarms on the predictions of several labels: whether they are worth raising, against their rivals and controls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from shared.data.errors import DataError
from shared.report.alarm_figures import (
    DecisionCurve,
    bootstrapped_sets_figure,
    decision_curves_figure,
    risk_of_alarms_figure,
)
from shared.report.curves import RiskCoverage, read_risk_coverage
from shared.report.gallery import MOST_CASES
from shared.report.images import EmbeddedImage
from shared.report.instances import read_rows
from shared.report.measures import Estimate, read_estimates, read_number, read_table
from shared.report.pictures import Pictures
from shared.report.sources import Sources
from shared.report.view import LayerEntry, View, add_view, read_view

__all__ = ["AlarmRow", "Difference", "FlaggedCase", "alarm_section", "flagged_cases"]

#: what alarms are compared with, in the order of the table, as far as it was measured
AGAINST = {
    "entropy": "entropy",
    "random_flags": "as many random flags",
    "moved_threshold": "a moved threshold",
    "no_alarm": "no alarm",
}
#: measures of what is kept, in the order of the table
DEFERRING = {
    "coverage": "Coverage",
    "error_rate": "Errors among the kept",
    "sensitivity": "Sensitivity among the kept",
    "specificity": "Specificity among the kept",
}
MEAN = "mean"
#: bytes for the pictures of flagged predictions, and for the maps over them
FLAGGED_BYTES, LAYER_BYTES = 200_000, 150_000


@dataclass(frozen=True)
class Difference:
    """A paired difference in mean F1.

    Attributes:
        estimate: with its interval.
        p: two-sided bootstrap p-value; ``None`` if it is not defined.
        detectable: true difference that such a test set would show with a power of 80 %.
    """

    estimate: Estimate
    p: float | None
    detectable: float | None

    @property
    def verdict(self) -> str:
        """``better``, ``worse`` or ``no difference shown``, by the interval."""
        if self.estimate.interval is None:
            return "no interval"
        low, high = self.estimate.interval
        return "better" if low > 0 else "worse" if high < 0 else "no difference shown"


@dataclass(frozen=True)
class AlarmRow:
    """One alarm.

    Attributes:
        name: its key.
        title: what it is called.
        acts: whether it is the one that acts.
        f1: of each finding after swapping, then the mean.
        flagged: share of flagged predictions, over all findings.
        without_doubt: predictions without a doubt, because a map is 0 everywhere.
        deferring: what is left when flagged predictions are, as means over the findings: ``coverage``, and
            ``error_rate``, ``sensitivity`` and ``specificity`` of the kept ones.
        differences: in mean F1 after swapping, by what it is compared with.
    """

    name: str
    title: str
    acts: bool
    f1: Mapping[str, Estimate]
    flagged: float
    without_doubt: int
    deferring: Mapping[str, Estimate]
    differences: Mapping[str, Difference]


@dataclass(frozen=True)
class FlaggedCase:
    """A flagged prediction with the maps of all findings.

    Attributes:
        id: the image.
        finding: the flagged one.
        reason: why, in words.
        label: what is true; empty if unknown.
        right: whether the prediction is; ``None`` without a label.
        method: title of the method of the maps.
        image: the input in a frame, where there is no view.
        maps: in frames, by finding, the flagged one first, where there is no view.
        view: the input with the maps of all findings as layers; ``None`` where explanations have none.
    """

    id: str
    finding: str
    reason: str
    label: str
    right: bool | None
    method: str
    image: EmbeddedImage | None
    maps: Mapping[str, EmbeddedImage]
    view: View | None


def flagged_cases(sources: Sources) -> list[FlaggedCase]:
    """Read the flagged predictions of the index of explanations, with their pictures; none without explanations.

    Raises:
        DataError: if an entry is malformed, or a picture is missing, unreadable or outside the evaluation folder.
    """
    where = str(sources.files.get("explanations/index.json"))
    rows = read_rows(sources.explanations or {}, "flagged", where)[:MOST_CASES]
    pictures = Pictures(sources.eval_dir)
    for place, row in rows:
        if "view" in row:
            add_view(pictures, row["view"], _layers(row, place), f"{place}.view")
        for name, path in _framed(row, place).items():
            pictures.add(path, f"{place}.{name}")
    pictures.embed(FLAGGED_BYTES, LAYER_BYTES)
    cases = []
    for place, row in rows:
        framed = {name: pictures.get(path, f"{place}.{name}") for name, path in _framed(row, place).items()}
        label = str(row.get("label") or "")
        cases.append(
            FlaggedCase(
                id=str(row.get("id", "")),
                finding=str(row.get("target", "")),
                reason=str(row.get("reason") or ""),
                label=label,
                right=label == row.get("prediction") if label else None,
                method=sources.marked_title(str(row.get("method", ""))),
                image=framed.pop("", None),
                maps={name: picture for name, picture in framed.items() if picture is not None},
                view=read_view(pictures, row.get("view"), _layers(row, place), f"{place}.view"),
            )
        )
    return cases


def _framed(row: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return the pictures in frames, the input's by ``""``; none where there are layers."""
    maps = read_table(row.get("maps", {}), f"{where}.maps")
    return {} if "view" in row else {"": row.get("image_png"), **maps}


def _layers(row: Mapping[str, Any], where: str) -> list[LayerEntry]:
    layers = read_table(row.get("layers") or {}, f"{where}.layers")
    return [
        LayerEntry(str(row.get("method", "")), str(label), read_table(entry, place), place)
        for label, entry in layers.items()
        for place in (f"{where}.layers.{label}",)
    ]


def alarm_section(sources: Sources) -> dict[str, Any] | None:
    """Alarms with their rivals; ``None`` if none was measured.

    Raises:
        DataError: if an entry of the metrics file is malformed.
    """
    table, where = sources.measured("alarms")
    if not table:
        return None
    acting, place = sources.measured("alarm")
    titles = {str(key): str(title) for key, title in read_table(table.get("titles") or {}, f"{where}.titles").items()}
    entries = read_table(table.get("alarms"), f"{where}.alarms")
    compared = {key: words for key, words in AGAINST.items() if key in (table.get("baselines") or [])}
    name = str(acting.get("name"))
    rows = [
        _row(key, titles.get(key, key), key == name, entry, compared, f"{where}.alarms.{key}")
        for key, entry in entries.items()
    ]
    if name not in entries:
        raise DataError(f"{place}.name: {name!r} is none of the alarms {', '.join(entries)}; run evaluating again")
    found = read_table(table.get("findings"), f"{where}.findings")
    resampling = read_table(table.get("resampling") or {}, f"{where}.resampling")
    return {
        "name": name,
        "title": titles.get(name, name),
        "action": str(acting.get("action")),
        "method": sources.marked_title(str(acting.get("method"))),
        "rows": rows,
        "findings": [*found, MEAN],
        "numbers": {key: dict(read_table(entry, f"{where}.findings.{key}")) for key, entry in found.items()},
        "compared": compared,
        "deferring": DEFERRING,
        "resampling": resampling,
        "before": _f1(read_table(table.get("before") or {}, f"{where}.before").get("f1"), f"{where}.before.f1"),
        "sets": (read_table(table.get("bootstrapped_sets") or {}, where)).get("sets"),
        "predictive": _predictive(entries[name], f"{where}.alarms.{name}"),
        "cases": _cases(entries[name], compared, f"{where}.alarms.{name}"),
        **_figures(sources, titles, name),
    }


def _row(key: str, title: str, acts: bool, entry: Any, compared: Mapping[str, str], where: str) -> AlarmRow:
    table = read_table(entry, where)
    swapping = read_table(table.get("swapping"), f"{where}.swapping")
    flagged = read_table(table.get("flagged"), f"{where}.flagged")
    shares = [read_number(part.get("share"), f"{where}.flagged.{name}.share") for name, part in flagged.items()]
    deferring = read_table(table.get("deferring") or {}, f"{where}.deferring")
    differences = read_table(table.get("differences") or {}, f"{where}.differences")
    return AlarmRow(
        name=key,
        title=title,
        acts=acts,
        f1=_f1(swapping.get("f1"), f"{where}.swapping.f1"),
        flagged=float(np.mean(shares)) if shares else 0.0,
        without_doubt=int(sum(int(part.get("without_doubt") or 0) for part in flagged.values())),
        deferring={
            measure: read[MEAN]
            for measure in DEFERRING
            if MEAN in (read := _f1(deferring.get(measure), f"{where}.deferring.{measure}"))
        },
        differences={
            against: _difference(differences[against], f"{where}.differences.{against}")
            for against in compared
            if against in differences and against != key
        },
    )


def _f1(table: Any, where: str) -> dict[str, Estimate]:
    return {estimate.name: estimate for estimate in read_estimates(table or {}, where)}


def _difference(table: Any, where: str) -> Difference:
    swapping = read_table(read_table(table, where).get("swapping"), f"{where}.swapping")
    f1 = read_table(swapping.get("f1"), f"{where}.swapping.f1")
    entry = read_table(f1.get(MEAN), f"{where}.swapping.f1.{MEAN}")

    def optional(key: str) -> float | None:
        return None if entry.get(key) is None else read_number(entry[key], f"{where}.swapping.f1.{MEAN}.{key}")

    return Difference(_f1({MEAN: entry}, f"{where}.swapping.f1")[MEAN], optional("p"), optional("detectable"))


def _predictive(entry: Mapping[str, Any], where: str) -> dict[str, list[tuple[float, Estimate, Estimate]]]:
    """Return positive and negative predictive value of each finding at each prevalence."""
    table = read_table(entry.get("predictive_values") or {}, f"{where}.predictive_values")
    found: dict[str, list[tuple[float, Estimate, Estimate]]] = {}
    for name, rows in table.items():
        for i, row in enumerate(rows):
            place = f"{where}.predictive_values.{name}[{i}]"
            values = {e.name: e for e in read_estimates({key: row.get(key) for key in ("ppv", "npv")}, place)}
            prevalence = read_number(row.get("prevalence"), f"{place}.prevalence")
            found.setdefault(name, []).append((prevalence, values["ppv"], values["npv"]))
    return found


def _cases(entry: Mapping[str, Any], compared: Mapping[str, str], where: str) -> list[tuple[str, str, float, Estimate]]:
    """Return additional cases a year: against what, finding, incidence, number."""
    table = read_table(entry.get("additional_cases") or {}, f"{where}.additional_cases")
    rows = []
    for against, findings in table.items():
        for name, part in read_table(findings, f"{where}.additional_cases.{against}").items():
            place = f"{where}.additional_cases.{against}.{name}"
            cases = read_estimates({"cases": part.get("cases")}, place)[0]
            incidence = read_number(part.get("incidence"), f"{place}.incidence")
            rows.append((compared.get(against, against), str(name), incidence, cases))
    return rows


def _figures(sources: Sources, titles: Mapping[str, str], acting: str) -> dict[str, str | None]:
    table, where = sources.measured("alarm_figures")
    sets = read_table(table.get("bootstrapped_sets") or {}, f"{where}.bootstrapped_sets")
    lines = read_table(table.get("risk_coverage") or {}, f"{where}.risk_coverage")
    boxes = {titles.get(key, key): [v for v in values if v is not None] for key, values in sets.items()}
    curves: dict[str, dict[str, RiskCoverage]] = {
        finding: {
            titles.get(key, key): read_risk_coverage(part, f"{where}.risk_coverage.{finding}.{key}")
            for key, part in of_finding.items()
        }
        for finding, of_finding in lines.items()
    }
    decisions, place = sources.measured("decision_curves")
    benefit = {finding: _decision_curve(part, f"{place}.{finding}") for finding, part in decisions.items()}
    return {
        "sets_figure": bootstrapped_sets_figure(boxes, titles.get(acting, acting), "alarmsets") if boxes else None,
        "risk_figure": risk_of_alarms_figure(curves, "alarmrisk") if curves else None,
        "decision_figure": decision_curves_figure(benefit, "benefit") if benefit else None,
    }


def _decision_curve(table: Any, where: str) -> DecisionCurve:
    names = ("threshold", "net_benefit", "low", "high", "treat_all")
    columns = read_table(table, where)
    for key in names:
        if not isinstance(columns.get(key), list) or len(columns[key]) != len(columns.get("threshold") or []):
            raise DataError(f"{where}.{key}: expected a list as long as threshold; run evaluating again")
    arrays = {key: np.array([np.nan if v is None else v for v in columns[key]], dtype=np.float64) for key in names}
    return DecisionCurve(**arrays)
