"""Numbers of the page as tables to be downloaded: embedded once, with all digits, where the page shows three."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from shared.report.elements import ElementTable
from shared.report.measures import Estimate, read_estimates
from shared.report.sources import Sources

__all__ = ["Dataset", "embedded_json", "page_datasets"]

#: a longer curve is thinned: no page needs every sample of a large test set
MOST_POINTS = 400
#: enough to compute with, and no digit that a resampling would not change
DIGITS = 7
_NUMBERS = ("value", "low", "high", "null_low", "null_high", "chance", "n", "n_without_mask")
ESTIMATE_COLUMNS = (*_NUMBERS, "reason", "interval")
#: entries of the metrics file with numbers in them, each a section of the page
NOT_ERRORS = ("reliability", "n_bins", "n", "resamples", "simulations", "seed")


@dataclass(frozen=True)
class Dataset:
    """A table.

    Attributes:
        title: what it holds.
        columns: their names.
        rows: text, number or ``None`` for each column.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]


def page_datasets(sources: Sources, elements: Iterable[ElementTable]) -> dict[str, Dataset]:
    """Return the tables of a page by the section that offers them; none that would be empty.

    Args:
        sources: the files.
        elements: the five elements of interpretability.

    Raises:
        DataError: if a file is malformed.
    """
    metrics, where = sources.measured("metrics")
    found = {
        "results": _estimates("Metrics", {"": read_estimates(metrics, where)}, ()),
        "calibration": _calibration(sources),
        "interpretability": _elements(elements),
        "subgroups": _subgroups(sources),
        "curves": _curves(sources),
    }
    return {name: dataset for name, dataset in found.items() if dataset.rows}


def embedded_json(datasets: Mapping[str, Dataset]) -> Markup:
    """Return the tables as JSON that may stand in a ``script`` element: no text in it can end that element.

    Example:
        >>> print(embedded_json({"a": Dataset("Metrics", ["measure", "value"], [["f1", 0.5]])}))
        {"a":{"title":"Metrics","columns":["measure","value"],"rows":[["f1",0.5]]}}
    """
    content = {name: {"title": d.title, "columns": d.columns, "rows": d.rows} for name, d in datasets.items()}
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


def _estimates(title: str, groups: Mapping[str, Iterable[Estimate]], of: Sequence[str]) -> Dataset:
    """Return estimates as rows, each after the name of its group where ``of`` names a column for it."""
    rows = [
        [*([group] if of else []), estimate.name, *_numbers(estimate)]
        for group, estimates in groups.items()
        for estimate in estimates
    ]
    return Dataset(title, [*of, "measure", *ESTIMATE_COLUMNS], rows)


def _numbers(estimate: Estimate) -> list[Any]:
    low, high = estimate.interval or (None, None)
    null_low, null_high = estimate.null_band or (None, None)
    numbers = (estimate.value, low, high, null_low, null_high, estimate.chance)
    return [*map(_short, numbers), estimate.n, estimate.n_without_mask, estimate.reason, estimate.interval_from]


def _calibration(sources: Sources) -> Dataset:
    table, where = sources.measured("calibration")
    stages = {
        stage: read_estimates({k: v for k, v in table[stage].items() if k not in NOT_ERRORS}, f"{where}.{stage}")
        for stage in ("before", "after")
        if isinstance(table.get(stage), Mapping)
    }
    return _estimates("Calibration errors", stages, ("calibration",))


def _elements(elements: Iterable[ElementTable]) -> Dataset:
    rows = [
        [
            table.element,
            row.measure.name,
            None if row.method is None else row.method.name,
            row.label,
            row.size,
            row.of,
            row.measure.better,
            *_numbers(row.estimate),
        ]
        for table in elements
        for row in table.rows
    ]
    columns = ["element", "measure", "method", "label", "size", "of", "better", *ESTIMATE_COLUMNS]
    return Dataset("Five elements of interpretability", columns, rows)


def _subgroups(sources: Sources) -> Dataset:
    table, where = sources.measured("subgroups")
    rows = [
        [key, group.get("name"), group.get("n"), against, estimate.name, *_numbers(estimate)]
        for key, entry in table.items()
        for i, group in enumerate(entry.get("groups") or [])
        for against, kind in (("", "metrics"), ("minus the rest", "against_rest"))
        for estimate in read_estimates(group.get(kind) or {}, f"{where}.{key}.groups[{i}].{kind}")
    ]
    return Dataset("Results in subgroups", ["by", "group", "size", "compared", "measure", *ESTIMATE_COLUMNS], rows)


def _curves(sources: Sources) -> Dataset:
    """Return all curves in long form: which curve, which point, which quantity, its value."""
    keys = ("roc_curve", "precision_recall_curve", "selective", "decision_curves")
    content = {key: (sources.metrics or {}).get(key) for key in keys}
    for stage, entry in sources.measured("calibration")[0].items():
        content[f"calibration.{stage}"] = entry
    rows = []
    for name, columns in _lists(content, ""):
        length = len(next(iter(columns.values())))
        for point in _chosen(length):
            rows += [[name, point, quantity, _short(values[point])] for quantity, values in columns.items()]
    return Dataset("Curves", ["curve", "point", "quantity", "value"], rows)


def _lists(content: Any, name: str) -> Iterator[tuple[str, dict[str, list[Any]]]]:
    """Yield the place of every object that holds lists of numbers of one length, and these."""
    if isinstance(content, list) and content and all(isinstance(entry, Mapping) for entry in content):
        keys = [key for key in content[0] if all(_is_number(entry.get(key)) for entry in content)]
        yield name, {key: [entry[key] for entry in content] for key in keys}
    if not isinstance(content, Mapping):
        return
    columns = {
        str(key): values
        for key, values in content.items()
        if isinstance(values, list) and len(values) > 2 and all(_is_number(value) for value in values)
    }
    if columns and len({len(values) for values in columns.values()}) == 1:
        yield name, columns
    for key, entry in content.items():
        yield from _lists(entry, f"{name}.{key}" if name else str(key))


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _chosen(length: int) -> list[int]:
    """Return the places of at most ``MOST_POINTS`` points, evenly spread, both ends among them."""
    if length <= MOST_POINTS:
        return list(range(length))
    return sorted({round(i * (length - 1) / (MOST_POINTS - 1)) for i in range(MOST_POINTS)})


def _short(value: float | None) -> float | None:
    if value is None or not math.isfinite(value):
        return None
    return float(f"{value:.{DIGITS}g}")
