"""Settings of a bundle as a command line gives them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from fire.parser import DefaultParseValue

from shared.data.errors import DataError

__all__ = ["parse_overrides"]


def parse_overrides(arguments: Sequence[str]) -> dict[str, Any]:
    """Return the overrides of a command line: ``--key value`` or ``--key=value``.

    Values are JSON where they can be read so, and else what ``python -m monai.bundle run`` takes them for (Fire's
    reading of Python's literals), so that both take the same words.

    Raises:
        DataError: if an argument is no key, or a key has no value.

    Example:
        >>> parse_overrides(["--seed", "1", "--network_name=AlexNet"])
        {'seed': 1, 'network_name': 'AlexNet'}
        >>> parse_overrides(["--standardise", "True", "--amp", "false", "--formats", "['geojson']"])
        {'standardise': True, 'amp': False, 'formats': ['geojson']}
    """
    found: dict[str, Any] = {}
    rest = list(arguments)
    while rest:
        key, equals, value = rest.pop(0).partition("=")
        if not key.startswith("--") or not (equals or rest):
            raise DataError(f"expected --key value, found {key!r}")
        text = value if equals else rest.pop(0)
        try:
            found[key.removeprefix("--")] = json.loads(text)
        except json.JSONDecodeError:
            found[key.removeprefix("--")] = DefaultParseValue(text)
    return found
