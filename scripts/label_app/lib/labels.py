"""Labels as JSON: a class's name, or 0 or 1 for some findings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lib.errors import RequestError
from lib.parameters import read_object

__all__ = ["fits", "label_in", "read_label"]

MAX_BYTES = 64 * 1024


def read_label(path: Path) -> dict[str, Any]:
    """Return the JSON object of a label's file.

    Raises:
        RequestError: if it is none, or larger than a label can be.
    """
    if path.stat().st_size > MAX_BYTES:
        raise RequestError(f"label: larger than {MAX_BYTES} bytes", 413)
    try:
        return read_object(path.read_text(encoding="utf-8"), "label")
    except UnicodeDecodeError as error:
        raise RequestError("label: expected JSON in UTF-8") from error


def label_in(content: Mapping[str, Any]) -> str | dict[str, int]:
    """Return what a label says: ``{"label": "neutrophil"}``, ``{"label": {"edema": 1}}`` or ``{"edema": 1}``.

    Raises:
        RequestError: if it says nothing of that kind.
    """
    said = content.get("label", {key: value for key, value in content.items() if key != "model"})
    if isinstance(said, str):
        return said
    if isinstance(said, dict) and said and all(type(value) is int and value in (0, 1) for value in said.values()):
        return said
    found = json.dumps(said)[:200]
    raise RequestError(f'label: found {found}, expected {{"label": "a class"}} or 0 or 1 by finding, as {{"edema": 1}}')


def fits(label: str | Mapping[str, int], classes: list[str], multi_label: bool) -> bool:
    """Tell whether a label is one of a model's."""
    if multi_label:
        return not isinstance(label, str) and set(label) <= set(classes)
    return isinstance(label, str) and label in classes
