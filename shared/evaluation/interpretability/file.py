"""The interpretability file: one row for each number, the same in all bundles.

``explaining`` writes it beside its explanations; the report, the card and the table over all bundles read it. A measure
that was not taken is a row too, whose ``value`` is ``None`` and whose ``reason`` says why.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from shared.data.errors import DataError
from shared.data.files import read_json, write_json
from shared.evaluation.interpretability.measures import MEASURES
from shared.evaluation.metrics_file import json_ready

__all__ = ["FILE", "not_measured", "read_interpretability", "row", "write_interpretability"]

#: Its name, in the folder of the evaluation.
FILE = "interpretability.json"

FORMAT = 1
_ENTRY = (
    "value",
    "ci95",
    "interval",
    "chance",
    "n",
    "n_without_mask",
    "reason",
    "parameters",
    "undefined_resamples",
    "samples",
    "difference",
)
_SIZES = ("small", "medium", "large")


def row(
    measure: str,
    entry: Mapping[str, Any],
    method: str | None = None,
    *,
    label: str | None = None,
    size: str | None = None,
    of: str | None = None,
) -> dict[str, Any]:
    """Return one row of the file.

    Args:
        measure: a key of :data:`~shared.evaluation.interpretability.measures.MEASURES`.
        entry: ``value``, ``ci95`` and as far as they apply ``interval`` (what
            a Wilson interval is over), ``chance``, ``n``, ``n_without_mask``, ``reason`` and
            ``parameters``, as :func:`shared.evaluation.bootstrap.interval_entry` and the quality measures give them,
            the values of single ``samples`` (:func:`shared.evaluation.paired_samples.by_sample`) and the paired
            ``difference`` to what chance reaches; other keys are left out.
        method: explanation method, by its key in the config; ``None`` for a number of the model.
        label: class that the samples are of; ``None`` for all.
        size: tertile of lesion size, ``small``, ``medium`` or ``large``; ``None`` for all.
        of: what the number is taken of where a measure is taken of several things (a physical quantity, an altered
            cause, a second model), in words for readers.

    Raises:
        ValueError: if the measure or the size is unknown, a number of a method lacks it, or nothing was measured and
            no reason is given.
    """
    if measure not in MEASURES:
        raise ValueError(f"unknown measure {measure!r}; shared.evaluation.interpretability.measures lists them")
    if MEASURES[measure].of_method != (method is not None):
        wanted = "a method" if MEASURES[measure].of_method else "no method"
        raise ValueError(f"{measure} needs {wanted}, found {method!r}")
    if size is not None and size not in _SIZES:
        raise ValueError(f"size must be one of {', '.join(_SIZES)}, found {size!r}")
    if entry.get("value") is None and not entry.get("reason"):
        raise ValueError(f"{measure} of {method or 'the model'} has no value; say why it was not measured")
    place = {"element": MEASURES[measure].element, "measure": measure, "method": method}
    groups = {key: value for key, value in (("label", label), ("size", size), ("of", of)) if value is not None}
    return place | groups | {key: entry[key] for key in _ENTRY if key in entry}


def not_measured(measure: str, reason: str, method: str | None = None, **groups: str | None) -> dict[str, Any]:
    """Return the row of a measure that was not taken.

    Args:
        measure: a key of the measures.
        reason: why, and what would make it measurable.
        method: explanation method; ``None`` for a number of the model.
        groups: as of :func:`row`.
    """
    return row(measure, {"value": None, "reason": reason}, method, **groups)


def write_interpretability(
    path: str | os.PathLike[str],
    rows: Iterable[Mapping[str, Any]],
    methods: Mapping[str, Mapping[str, Any]],
    *,
    bundle: str,
    unit: str,
    model: Mapping[str, Any],
    provenance: Mapping[str, Any],
    resampled: Mapping[str, Any] | None = None,
) -> Path:
    """Write the file, atomically.

    Args:
        path: of the file.
        rows: made by :func:`row` and :func:`not_measured`.
        methods: by key: ``title``, ``control`` (whether it is one), ``parameters`` and as far as known ``rule``,
            ``satisfies`` (sentences) and ``failed`` (sentences: sanity checks that it failed).
        bundle: its name.
        unit: what is explained, in the singular: cell, finding, slide.
        model: ``name``, ``parameters`` (their number) and what else describes it.
        provenance: as in the index of explanations.
        resampled: what the bootstrap behind the intervals drew, and why they are not to be trusted if that is so:
            :meth:`shared.evaluation.resampling_groups.ResamplingGroups.to_json`.

    Raises:
        ValueError: if a row is of a method that ``methods`` lacks, or two rows are of the same thing.
    """
    ready = [dict(entry) for entry in rows]
    places = [tuple(entry.get(key) for key in ("measure", "method", "label", "size", "of")) for entry in ready]
    if len(set(places)) != len(places):
        raise ValueError(f"two rows of {next(place for place in places if places.count(place) > 1)}")
    if unknown := sorted({str(entry["method"]) for entry in ready if entry["method"] is not None} - set(methods)):
        raise ValueError(f"rows of methods that are not described: {', '.join(unknown)}")
    content = {
        "format": FORMAT,
        "bundle": bundle,
        "unit": unit,
        "model": dict(model),
        "methods": {name: dict(entry) for name, entry in methods.items()},
        "rows": ready,
        "provenance": dict(provenance),
    }
    if resampled is not None:
        content["resampled"] = dict(resampled)
    write_json(path, json_ready(content))
    return Path(path)


def read_interpretability(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read and check the file.

    Raises:
        DataError: if it is missing, is not JSON, is of another format, or a row is malformed.
    """
    content = read_json(path)
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        found = content.get("format") if isinstance(content, dict) else type(content).__name__
        raise DataError(f"{path}: format: found {found!r}, expected {FORMAT}; run explaining again")
    for key, kind in (("bundle", str), ("unit", str), ("model", dict), ("methods", dict), ("rows", list)):
        if not isinstance(content.get(key), kind):
            raise DataError(
                f"{path}: {key}: found {content.get(key)!r}, expected {kind.__name__}; run explaining again"
            )
    if "resampled" in content and not _says_what_was_drawn(content["resampled"]):
        found = content["resampled"]
        raise DataError(f"{path}: resampled: found {found!r}, expected an object with by and n; run explaining again")
    for index, entry in enumerate(content["rows"]):
        _check_row(entry, content["methods"], f"{path}: rows[{index}]")
    return content


def _check_row(entry: Any, methods: Mapping[str, Any], place: str) -> None:
    if not isinstance(entry, dict) or entry.get("measure") not in MEASURES:
        found = entry.get("measure") if isinstance(entry, dict) else entry
        raise DataError(f"{place}: measure: found {found!r}, expected one that is known; run explaining again")
    if entry.get("method") is not None and entry["method"] not in methods:
        raise DataError(f"{place}: method {entry['method']!r} is none of methods; run explaining again")
    value, interval = entry.get("value"), entry.get("ci95")
    if value is None and not entry.get("reason"):
        raise DataError(f"{place}: value is null without a reason; say why it was not measured")
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise DataError(f"{place}: value: found {value!r}, expected a number or null")
    if interval is not None and not _is_interval(interval):
        raise DataError(f"{place}: ci95: found {interval!r}, expected two numbers or nulls")


def _says_what_was_drawn(entry: Any) -> bool:
    return (
        isinstance(entry, dict)
        and isinstance(entry.get("by"), str)
        and isinstance(entry.get("n"), int)
        and isinstance(entry.get("warning", ""), str)
    )


def _is_interval(interval: Any) -> bool:
    numbers: Sequence[Any] = interval if isinstance(interval, list) else ()
    return len(numbers) == 2 and all(
        end is None or (isinstance(end, int | float) and not isinstance(end, bool)) for end in numbers
    )
