"""What ``train.json`` takes from ``metadata.json``: values, where its own text has only expressions."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from monai.bundle import ConfigParser

from scripts.study.settings import BUNDLE_ROOT

__all__ = ["metadata_values"]

CONFIGS = BUNDLE_ROOT / "configs"
REFERENCE = re.compile(r"[@%]metadata\b")


def metadata_values(overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Return the value of each place of ``train.json`` that refers to the metadata, by its name.

    The text of such a place, ``$@metadata['network']['width']`` say, stays the same whatever the metadata say, so that
    it does not tell whether a result was made with them. Places that are overridden depend on the metadata no longer
    and are left out.

    Args:
        overrides: keys of ``train.json`` and their values; JSON types.

    Example:
        >>> metadata_values({"width": 8, "pooling": "max"})["log_count"]
        True
    """
    metadata = (CONFIGS / "metadata.json").read_text(encoding="utf-8")
    return dict(_values((CONFIGS / "train.json").read_text(encoding="utf-8"), metadata, json.dumps(overrides)))


@lru_cache(maxsize=256)
def _values(train: str, metadata: str, overrides: str) -> dict[str, Any]:
    parser = ConfigParser(json.loads(train))
    parser.update({**json.loads(overrides), "bundle_root": str(BUNDLE_ROOT), "metadata": json.loads(metadata)})
    places = [place for place in _places(parser.config) if place.partition("#")[0] != "metadata"]
    return {place: parser.get_parsed_content(place) for place in places}


def _places(value: Any, name: str = "") -> Iterator[str]:
    """Yield the names of all texts that refer to the metadata, as a config has them: ``network_def#name``."""
    if isinstance(value, str):
        if REFERENCE.search(value):
            yield name
    elif isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _places(item, f"{name}#{key}" if name else str(key))
