"""Settings of preparing, read again where data are prepared on the way: what holds there holds here."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

from monai.bundle import ConfigParser

from shared.data.errors import DataError

__all__ = ["read_prepare_settings"]


def read_prepare_settings(file: str | os.PathLike[str], overrides: Mapping[str, Any]) -> ConfigParser:
    """Read a bundle's ``prepare.json`` with some values replaced.

    Args:
        file: the config file.
        overrides: values in place of its own, e.g. ``{"integer_phase_range": [0, 4]}``; nested mappings replace single
            nested keys.

    Returns:
        The config, not resolved yet.

    Raises:
        DataError: if an override names no key of the file.
    """
    parser = ConfigParser(ConfigParser.load_config_file(str(file)))
    for key, value in _flat(overrides):
        if key not in parser:
            names = ", ".join(name for name in parser.get() if name not in ("imports", "bundle_root"))
            raise DataError(f"prepare_overrides: {file} has no key '{key}'; its keys are {names}")
        parser[key] = value
    return parser


def _flat(overrides: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Give the leaves of nested mappings with keys joined by ``#``."""
    for key, value in overrides.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}#")
        else:
            yield f"{prefix}{key}", value
