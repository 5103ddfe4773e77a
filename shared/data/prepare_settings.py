"""Settings of preparing, read again where data are prepared on the way: what holds there holds here."""

from __future__ import annotations

import difflib
import logging
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser

from shared.data.datalist import read_datalist
from shared.data.errors import DataError
from shared.data.files import read_json

__all__ = [
    "PREPARED_WITH",
    "calibrated_settings",
    "read_prepare_settings",
    "recorded_settings",
    "tell_settings",
    "unknown_key",
]

#: key of a datalist's ``info``, and of a calibration file, under which settings of preparing are recorded
PREPARED_WITH = "prepared_with"


def recorded_settings(datalist_path: str | os.PathLike[str]) -> dict[str, Any] | None:
    """Return the settings that a data set was prepared with, as its datalist records them; ``None`` if it does not."""
    return read_datalist(datalist_path).get("info", {}).get(PREPARED_WITH)


def calibrated_settings(calibration_file: str | os.PathLike[str] | None) -> dict[str, Any] | None:
    """Return the settings that the calibrated data were prepared with; ``None`` if there are none to be had.

    Args:
        calibration_file: ``models/calibration.json``; need not exist.
    """
    file = None if calibration_file is None else Path(calibration_file)
    return read_json(file).get(PREPARED_WITH) if file is not None and file.is_file() else None


def tell_settings(
    logger: logging.Logger,
    what: str,
    calibration_file: str | os.PathLike[str] | None,
    overrides: Mapping[str, Any] | None = None,
) -> None:
    """Log with which settings raw data are prepared: with those of the calibrated data, or warn that they are unknown.

    Args:
        logger: of the module that prepares.
        what: what happens, e.g. ``crops are made``.
        calibration_file: see :func:`calibrated_settings`.
        overrides: values that replace the recorded ones.
    """
    replaced = f", but for {', '.join(overrides)}" if overrides else ""
    if calibrated_settings(calibration_file) is not None:
        logger.info(f"{what} as those that {calibration_file} was fitted to{replaced}")
    elif calibration_file is not None and Path(calibration_file).is_file():
        logger.warning(
            f"{calibration_file} does not say how its data were prepared: {what} as configs/prepare.json "
            f"says{replaced}; prepare and calibrate anew to have that recorded"
        )


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
            raise DataError(f"prepare_overrides: {unknown_key(file, key, parser)}")
        parser[key] = value
    return parser


def unknown_key(file: str | os.PathLike[str], key: str, parser: ConfigParser) -> str:
    """Say that a config has no such key, with the closest that it has, or all of its top if none is close."""
    names = [name for name in parser.get() if name not in ("imports", "bundle_root")]
    nested = [f"{name}#{inner}" for name in names if isinstance(parser[name], dict) for inner in parser[name]]
    close = difflib.get_close_matches(key, [*names, *(name for name in nested if "_target_" not in name)], n=1)
    advice = f"did you mean '{close[0]}'?" if close else f"its keys are {', '.join(names)}"
    return f"{file} has no key '{key}'; {advice}"


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
