"""Result against explanation quality over several models: points from runs, and from the tables of studies."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from shared.data.errors import DataError
from shared.evaluation.interpretability.measures import MEASURES
from shared.report.card.fields import is_unknown
from shared.report.purposes import scores
from shared.report.runs import Run, name_runs, read_run

__all__ = ["Model", "Point", "TradeOff", "read_trade_off", "trade_off_of_runs"]

STUDY_TABLE = "table.csv"
#: what a study's table calls them, the most telling first
RESULTS = ("macro f1", "macro f1 on phantoms", "roc auc", "balanced accuracy", "accuracy")
QUALITIES = ("localisation auc", "instance auc", "rank accuracy", "ndcg", "relevance mass", "pointing game")
#: columns that name the method of an explanation; the others name the model
METHOD_COLUMNS = ("method", "condition")
UNTRAINED = "untrained network"


@dataclass(frozen=True)
class Point:
    """A number with its 95 % interval, ``None`` where there is none."""

    value: float
    interval: tuple[float, float] | None


@dataclass(frozen=True)
class Model:
    """One model.

    Attributes:
        name: for readers.
        result: how good it is.
        qualities: title of the method to the quality of its explanations; empty if none was measured.
        controls: titles of methods that are controls.
        failed: titles of methods that failed a sanity check.
        untrained: whether it is a control itself, with random weights.
    """

    name: str
    result: Point
    qualities: Mapping[str, Point]
    controls: frozenset[str] = frozenset()
    failed: frozenset[str] = frozenset()
    untrained: bool = False

    @property
    def best(self) -> str | None:
        """Method of the highest quality that is no control and failed no sanity check."""
        chosen = {name: point for name, point in self.qualities.items() if name not in self.controls | self.failed}
        return max(chosen, key=lambda name: chosen[name].value) if chosen else None


@dataclass(frozen=True)
class TradeOff:
    """Models of one problem by one result and one quality.

    Attributes:
        title: what they were measured on.
        result: title of the result.
        quality: title of the quality of explanations; the higher, the better.
        models: at least one.
    """

    title: str
    result: str
    quality: str
    models: tuple[Model, ...]


def read_trade_off(paths: Sequence[str | os.PathLike[str]]) -> list[TradeOff]:
    """Read models from folders of studies and from runs; runs of one bundle stand together.

    Args:
        paths: folders with a ``table.csv`` of a study, evaluation folders, bundles or cards.

    Raises:
        DataError: if one is none of these, or none tells of results.
    """
    studies = [Path(path) for path in paths if (Path(path) / STUDY_TABLE).is_file()]
    runs = [read_run(path) for path in paths if Path(path) not in studies]
    found = [part for study in studies for part in _of_study(study)]
    return [*found, *trade_off_of_runs(runs)]


def trade_off_of_runs(runs: Sequence[Run], named: bool = False) -> list[TradeOff]:
    """Set runs of one bundle together: the first headline result against the leading measure of localization.

    Args:
        runs: of one or several bundles.
        named: whether their names tell them apart already.

    Raises:
        DataError: if a run has no result.
    """
    found = []
    for bundle in dict.fromkeys(str(run.card["bundle"]) for run in runs):
        same = [run for run in runs if run.card["bundle"] == bundle]
        same = same if named else name_runs(same)
        models, results, qualities = [], set(), set()
        for run in same:
            result = _headline(run)
            measure, by_method = scores(run, "localization")
            results.add(str(result["title"]))
            if measure is not None:
                qualities.add(measure.title)
            models.append(
                Model(
                    name=run.name,
                    result=_point(result),
                    qualities={score.title: _point(score.entry) for score in by_method},
                    controls=frozenset(score.title for score in by_method if score.method["control"]),
                    failed=frozenset(score.title for score in by_method if score.method["failed"]),
                )
            )
        if len(results) > 1 or len(qualities) > 1:
            raise DataError(
                f"{bundle}: the runs are measured differently ({', '.join(sorted(results | qualities))}); evaluate and "
                "explain them with the same settings"
            )
        quality = next(iter(qualities), MEASURES["localisation_auc"].title)
        found.append(TradeOff(bundle, next(iter(results)), quality, tuple(models)))
    return found


def _headline(run: Run) -> Mapping[str, Any]:
    results = run.card["results"]
    if is_unknown(results) or not results["headline"]:
        raise DataError(f"{run.path}: no result to set against explanations; run evaluating")
    entry: Mapping[str, Any] = next(e for e in results["numbers"] if e["name"] == results["headline"][0])
    if entry["value"] is None:
        raise DataError(f"{run.path}: {entry['name']} has no value ({entry['reason']})")
    return entry


def _point(entry: Mapping[str, Any]) -> Point:
    return Point(float(entry["value"]), None if not entry["ci95"] else (entry["ci95"][0], entry["ci95"][1]))


def _of_study(folder: Path) -> list[TradeOff]:
    """Return what each section of a study's table tells; where qualities stand in none, the results alone."""
    path = folder / STUDY_TABLE
    table = pd.read_csv(path, dtype={"measure": str, "section": str}, low_memory=False)
    missing = {"section", "measure", "value", "low", "high"} - set(table.columns)
    if missing:
        raise DataError(f"{path}: columns {', '.join(sorted(missing))} are missing; expected the table of a study")
    table = table[table["value"].notna()]
    sections = [part for _, part in table.groupby("section", sort=False)]
    whole = [_of_section(folder.name, part) for part in sections]
    with_quality = [part for part in whole if part is not None and any(model.qualities for model in part.models)]
    found = with_quality or [part for part in whole if part is not None][:1]
    if not found:
        raise DataError(f"{path}: no section has one of the results {', '.join(RESULTS)}")
    return found


def _of_section(study: str, section: pd.DataFrame) -> TradeOff | None:
    measures = {str(name).lower(): str(name) for name in section["measure"].unique()}
    result = next((measures[name] for name in RESULTS if name in measures), None)
    quality = next((measures[name] for name in QUALITIES if name in measures), None)
    if result is None:
        return None
    described = list(section.columns[1 : list(section.columns).index("measure")])
    method = next((name for name in METHOD_COLUMNS if name in described and quality is not None), None)
    by = [name for name in described if name != method and section[name].notna().any()]
    if method is not None:
        # a network with random weights is a model of its own, and stands in the column of the methods
        section = section.assign(**{UNTRAINED: section[method].str.endswith(f", {UNTRAINED}").fillna(False)})
        section[method] = section[method].str.removesuffix(f", {UNTRAINED}")
        by = [*by, UNTRAINED]
    models = []
    for key, rows in section.groupby(by, sort=False, dropna=False):
        results = rows[rows["measure"] == result]
        if not results.empty:
            values = dict(zip(by, key if isinstance(key, tuple) else (key,), strict=True))
            untrained = bool(values.pop(UNTRAINED, False))
            qualities = {} if method is None else _qualities(rows[rows["measure"] == quality], method)
            models.append(
                Model(
                    name=_named(values) + (f", {UNTRAINED}" if untrained else ""),
                    result=_row_point(results.iloc[0]),
                    qualities=qualities,
                    controls=frozenset(name for name in qualities if "(control)" in name),
                    untrained=untrained,
                )
            )
    title = f"{study}: {section['section'].iloc[0]}"
    return None if not models else TradeOff(title, result, quality or "quality of explanations", tuple(models))


def _qualities(rows: pd.DataFrame, method: str) -> dict[str, Point]:
    return {str(row[method]): _row_point(row) for _, row in rows.iterrows()}


def _row_point(row: pd.Series) -> Point:
    ends = (row["low"], row["high"])
    return Point(float(row["value"]), None if any(map(pd.isna, ends)) else (float(ends[0]), float(ends[1])))


def _named(values: Mapping[str, Any]) -> str:
    """Name a model by what tells it from others: texts as they are, numbers with their column."""
    parts = []
    for column, value in values.items():
        if not pd.isna(value):
            parts.append(f"{column} {value:g}" if isinstance(value, int | float) else str(value))
    return ", ".join(parts)
