"""Result against explanation quality: points from the tables of studies, and from whatever folders are given."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from shared.data.errors import DataError
from shared.report.runs import read_run
from shared.report.trade_off import RESULT_CHANCE, Model, Point, TradeOff, trade_off_of_runs

__all__ = ["read_trade_off"]

STUDY_TABLE = "table.csv"
#: what a study's table calls them, the most telling first
RESULTS = ("macro f1", "macro f1 on phantoms", "roc auc", "balanced accuracy", "accuracy")
#: the top of the ranking first: maps that are zero on the background tie there, and an area counts each tie half
QUALITIES = ("rank accuracy", "ndcg", "localisation auc", "instance auc", "relevance mass", "pointing game")
#: columns that name the method of an explanation; the others name the model
METHOD_COLUMNS = ("method", "condition")
UNTRAINED = "untrained network"
NO_CHECKS = "The table of a study does not say which methods failed a sanity check: none is marked here."
NOT_IN_TABLE = "not measured: the study's table has no quality of its explanations"


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
                    result=_row_point(results.iloc[0], RESULT_CHANCE.get(result.lower())),
                    qualities=qualities,
                    controls=frozenset(name for name in qualities if "(control)" in name),
                    untrained=untrained,
                    missing=None if qualities else NOT_IN_TABLE,
                )
            )
    title = f"{study}: {section['section'].iloc[0]}"
    notes = (NO_CHECKS,) if any(model.qualities for model in models) else ()
    return None if not models else TradeOff(title, result, quality or "quality of explanations", tuple(models), notes)


def _qualities(rows: pd.DataFrame, method: str) -> dict[str, Point]:
    return {str(row[method]): _row_point(row) for _, row in rows.iterrows()}


def _row_point(row: pd.Series, chance: float | None = None) -> Point:
    ends = (row["low"], row["high"])
    stated = row.get("chance")
    return Point(
        float(row["value"]),
        None if any(map(pd.isna, ends)) else (float(ends[0]), float(ends[1])),
        chance if stated is None or pd.isna(stated) else float(stated),
    )


def _named(values: Mapping[str, Any]) -> str:
    """Name a model by what tells it from others: texts as they are, numbers with their column."""
    parts = []
    for column, value in values.items():
        if not pd.isna(value):
            parts.append(f"{column} {value:g}" if isinstance(value, int | float) else str(value))
    return ", ".join(parts)
