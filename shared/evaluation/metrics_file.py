"""The metrics file: what evaluating found, as JSON that every reader can parse.

JSON has no NaN. A number that is not finite is written as ``null``, and never without a reason: an entry with a
``value`` (``{"value": null, "ci95": [null, null], "reason": …}``) carries it itself; for any other place, the top-level
``undefined`` maps the place (``selective.risk.0``) to what was there. A value whose interval could not be had is
``{"value": 0.9, "ci95": null, "reason": …}``.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from shared.data.errors import DataError
from shared.data.files import read_json, write_json

__all__ = ["json_ready", "read_metrics", "validate_metrics", "write_metrics"]

REQUIRED = {"bundle": str, "split": str, "n": int, "metrics": dict, "calibration": dict, "provenance": dict}


def write_metrics(path: str | os.PathLike[str], content: Mapping[str, Any]) -> None:
    """Write ``metrics.json``, atomically.

    Args:
        path: the file.
        content: ``bundle``, ``split``, ``n``, ``metrics`` (name to ``{"value", "ci95"}``), ``calibration``,
            ``provenance``, and as far as measured ``classes``, ``confusion_matrix``, ``selective``, ``outliers``.
            NumPy arrays and scalars are allowed.

    Raises:
        DataError: if the content is not valid, see :func:`validate_metrics`.
    """
    ready = json_ready(content)
    validate_metrics(ready, path)
    write_json(path, ready)


def read_metrics(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read and check ``metrics.json``.

    Raises:
        DataError: if the file is missing, is not JSON or its content is not valid.
    """
    content = read_json(path)
    validate_metrics(content, path)
    return content


def json_ready(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return plain Python types without NaN or infinity; each that was found leaves a reason.

    Example:
        >>> json_ready({"metrics": {"f1_basophil": {"value": float("nan"), "ci95": [0.0, 1.0]}}})
        {'metrics': {'f1_basophil': {'value': None, 'ci95': [0.0, 1.0], 'reason': 'not defined on this data (nan)'}}}
        >>> json_ready({"selective": {"risk": np.array([np.inf, 0.5])}})
        {'selective': {'risk': [None, 0.5]}, 'undefined': {'selective.risk.0': 'inf'}}
    """
    undefined: dict[str, str] = dict(content.get("undefined", {}))
    ready = _plain({key: value for key, value in content.items() if key != "undefined"}, "", undefined)
    return ready | ({"undefined": undefined} if undefined else {})


def validate_metrics(content: Any, source: str | os.PathLike[str] = "metrics") -> None:
    """Check the parts of a metrics file that others rely on.

    Args:
        content: the parsed file.
        source: what the messages call it, a file name as a rule.

    Raises:
        DataError: if a required key is missing or of another type; an entry of ``metrics`` is not a number, or null
            without a reason; an interval is null without a reason, or not two ordered numbers or nulls;
            ``confusion_matrix`` is not K × K counts.
    """
    if not isinstance(content, dict):
        raise DataError(f"{source}: expected a JSON object, found {type(content).__name__}")
    for key, kind in REQUIRED.items():
        if not isinstance(content.get(key), kind) or isinstance(content[key], bool):
            found = repr(content[key]) if key in content else "nothing"
            raise DataError(f"{source}: {key} must be of type {kind.__name__}, found {found}; run evaluating again")
    if content["n"] < 0:
        raise DataError(f"{source}: n must not be negative, found {content['n']}")
    for name, entry in content["metrics"].items():
        _check_entry(entry, f"{source}: metrics.{name}")
    if "confusion_matrix" in content:
        _check_confusion(content["confusion_matrix"], content.get("classes"), f"{source}: confusion_matrix")


def _plain(value: Any, place: str, undefined: dict[str, str]) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, Mapping):
        found: dict[str, str] = {}
        plain = {str(key): _plain(item, _join(place, key), found) for key, item in value.items()}
        cause = found.get(_join(place, "value"))
        if cause is None:
            undefined |= found
        else:
            plain.setdefault("reason", f"not defined on this data ({cause})")
        return plain
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(item, _join(place, index), undefined) for index, item in enumerate(value)]
    if isinstance(value, float) and not math.isfinite(value):
        undefined[place] = str(value)
        return None
    return value


def _join(place: str, key: object) -> str:
    return f"{place}.{key}" if place else str(key)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _check_entry(entry: Any, place: str) -> None:
    if not isinstance(entry, dict) or "value" not in entry:
        raise DataError(f'{place} must be {{"value": …, "ci95": [low, high]}}, found {entry!r}')
    if entry["value"] is None and not entry.get("reason"):
        raise DataError(f"{place}.value is null without a reason; say why it was not measured")
    if entry["value"] is not None and not _is_number(entry["value"]):
        raise DataError(f"{place}.value must be a number or null, found {entry['value']!r}")
    if "ci95" not in entry:
        return
    interval = entry["ci95"]
    if interval is None:
        if not entry.get("reason"):
            raise DataError(f"{place}.ci95 is null without a reason; say why there is no interval")
        return
    if not isinstance(interval, list) or len(interval) != 2 or not all(x is None or _is_number(x) for x in interval):
        raise DataError(f"{place}.ci95 must be two numbers or nulls, found {interval!r}")
    if None not in interval and interval[0] > interval[1]:
        raise DataError(f"{place}.ci95 must be ordered, found {interval!r}")


def _check_confusion(matrix: Any, classes: Any, place: str) -> None:
    k = len(classes) if isinstance(classes, list) else None
    rows = matrix if isinstance(matrix, list) else []
    square = k is not None and len(rows) == k and all(isinstance(row, list) and len(row) == k for row in rows)
    if not square or not all(_is_number(count) and count >= 0 for row in rows for count in row):
        raise DataError(f"{place} must hold counts, one row and column for each of {classes}, found {matrix!r}")
