"""Nested JSON as rows of a table."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

__all__ = ["flat_rows"]


def flat_rows(value: Any, prefix: str = "") -> list[tuple[str, str]]:
    """Turn nested objects into rows ``(key.key, text)``.

    Example:
        >>> flat_rows({"seed": 7, "weights": [{"file": "model.pt"}], "samples": [1, 2]})
        [('seed', '7'), ('weights.0.file', 'model.pt'), ('samples', '[1, 2]')]
    """
    if isinstance(value, Mapping):
        return [
            row for key, entry in value.items() for row in flat_rows(entry, f"{prefix}.{key}" if prefix else str(key))
        ]
    if isinstance(value, list) and any(isinstance(entry, Mapping) for entry in value):
        return [row for i, entry in enumerate(value) for row in flat_rows(entry, f"{prefix}.{i}")]
    if value is None and not prefix:
        return []
    return [(prefix, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))]
