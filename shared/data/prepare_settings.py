"""Settings of preparing, read again where data are prepared on the way: what holds there holds here."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

from monai.bundle import ConfigParser

from shared.data.datalist import read_datalist
from shared.data.errors import DataError

__all__ = ["PREPARED_WITH", "read_prepare_settings", "recorded_settings"]

#: key of a datalist's ``info``, and of a calibration file, under which settings of preparing are recorded
PREPARED_WITH = "prepared_with"


def recorded_settings(datalist_path: str | os.PathLike[str]) -> dict[str, Any] | None:
    """Return the settings that a data set was prepared with, as its datalist records them; ``None`` if it does not."""
    return read_datalist(datalist_path).get("info", {}).get(PREPARED_WITH)


def read_prepare_settings(
    file: str | os.PathLike[str], overrides: Mapping[str, Any], recorded: Mapping[str, Any] | None = None
) -> ConfigParser:
    """Read a bundle's ``prepare.json`` with some values replaced.

    A recorded value lands on the key that the file takes it from: if ``optics#pixel_size_um`` is ``@pixel_size_um``, it
    becomes the value of ``pixel_size_um``, so that an override of that key still replaces it everywhere.

    Args:
        file: the config file.
        recorded: values of earlier preparing that come in place of the file's, by the same keys, nested.
        overrides: values in place of its own, e.g. ``{"integer_phase_range": [0, 4]}``; nested mappings replace single
            nested keys.

    Returns:
        The config, not resolved yet.

    Raises:
        DataError: if an override names no key of the file.
    """
    parser = ConfigParser(ConfigParser.load_config_file(str(file)))
    for key, value in (recorded or {}).items():
        _put(parser, key, value)
    for key, value in _flat(overrides):
        if key not in parser:
            names = ", ".join(name for name in parser.get() if name not in ("imports", "bundle_root"))
            raise DataError(f"prepare_overrides: {file} has no key '{key}'; its keys are {names}")
        parser[key] = value
    return parser


def _put(parser: ConfigParser, place: str, value: Any) -> None:
    """Set a key, or the one that it refers to; of a component those arguments that the file names."""
    if place not in parser:
        return
    config = parser[place]
    if isinstance(config, str) and config.startswith("@"):
        _put(parser, config.removeprefix("@"), value)
    elif isinstance(config, Mapping) and "_target_" in config and isinstance(value, Mapping):
        for key, item in value.items():
            _put(parser, f"{place}#{key}", item)
    else:
        parser[place] = value


def _flat(overrides: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Give the leaves of nested mappings with keys joined by ``#``."""
    for key, value in overrides.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}#")
        else:
            yield f"{prefix}{key}", value
