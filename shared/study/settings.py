"""A study's settings: one JSON file with a ``default`` and overlays for less or more, or one such section per study."""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping
from typing import Any, TypeVar

from shared.data.errors import DataError
from shared.data.files import read_json

__all__ = ["as_settings", "overlaid", "read_mode"]

Settings = TypeVar("Settings")


def read_mode(path: str | os.PathLike[str], mode: str = "default", study: str | None = None) -> dict[str, Any]:
    """Return the settings of a mode: those of ``default``, values of the mode in their place.

    Args:
        path: the JSON file.
        mode: ``default``, or another key of the file.
        study: key of the file under which the modes are; None if they are the file's own keys.

    Raises:
        DataError: if the file has no such study or mode.
    """
    content = read_json(path)
    if study is not None:
        if study not in content:
            raise DataError(f"{path}: no study '{study}'; found {', '.join(content)}")
        content = content[study]
    if mode not in content or "default" not in content:
        place = path if study is None else f"{path}, '{study}'"
        raise DataError(f"{place}: no settings '{mode}'; found {', '.join(content)}")
    return overlaid(content["default"], {} if mode == "default" else content[mode])


def as_settings(kind: type[Settings], values: Mapping[str, Any], place: str) -> Settings:
    """Return values as an instance of a study's settings.

    Args:
        kind: dataclass of the settings.
        values: its arguments.
        place: where they come from, for the error.

    Raises:
        DataError: if a value is missing, or one is there that the settings do not have.
    """
    try:
        return kind(**values)
    except TypeError as error:
        raise DataError(f"{place}: the settings do not fit: {error}") from error


def overlaid(base: Mapping[str, Any], overlay: Mapping[str, Any]) -> dict[str, Any]:
    """Replace values of nested mappings; lists are replaced as a whole.

    Example:
        >>> overlaid({"a": {"b": 1, "c": [1, 2]}}, {"a": {"c": [3]}})
        {'a': {'b': 1, 'c': [3]}}
    """
    result = copy.deepcopy(dict(base))
    for key, value in overlay.items():
        nested = isinstance(value, Mapping) and isinstance(result.get(key), dict)
        result[key] = overlaid(result[key], value) if nested else copy.deepcopy(value)
    return result
