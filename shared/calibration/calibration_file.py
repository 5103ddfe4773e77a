"""The calibration file: every number fitted after training, tied to the weights that it belongs to."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shared.data.errors import DataError
from shared.data.files import read_json, restore_folder, sha256_file, write_json

__all__ = ["read_calibration", "write_calibration"]


def write_calibration(path: str | os.PathLike[str], content: dict[str, Any]) -> None:
    """Write a calibration file atomically.

    Args:
        path: file to be written.
        content: JSON types; ``"weights_sha256"`` holds the hash of the weights that were calibrated.

    Raises:
        DataError: if the content does not say which weights it belongs to.
        ValueError: if a number is not finite.
    """
    if not content.get("weights_sha256"):
        raise DataError(f'{path}: the content has no "weights_sha256"; add the hash of the calibrated weights')
    write_json(path, content)


def read_calibration(
    path: str | os.PathLike[str], weights: str | os.PathLike[str], settings: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Read a calibration file, and refuse it if it belongs to other weights or settings.

    Args:
        path: the calibration file.
        weights: the weights file that predictions are made with.
        settings: values, by their keys in the file, that predictions are made with.

    Returns:
        The file's content.

    Raises:
        DataError: if either file is missing, the calibration file is no JSON object, or it belongs to other weights or
            settings.
    """
    file, weights = Path(path), Path(weights)
    restore_folder(file.parent)
    if not file.is_file():
        raise DataError(f"{file}: no such file; run calibrating before this command")
    if not weights.is_file():
        raise DataError(f"{weights}: no such file; run training, or put the weights there, before this command")
    content = read_json(file)
    if not isinstance(content, dict) or not content.get("weights_sha256"):
        raise DataError(f'{file}: expected a JSON object with "weights_sha256"; run calibrating again')
    found = sha256_file(weights)
    if content["weights_sha256"] != found:
        raise DataError(
            f"{file}: calibrated for weights with SHA-256 {content['weights_sha256']}, but {weights} has {found}; "
            "run calibrating again for these weights, or restore the weights that it belongs to"
        )
    for key, value in (settings or {}).items():
        if content.get(key) != value:
            raise DataError(
                f"{file}: fitted for {key} {content.get(key)}, but used with {value}; use the settings that it was "
                "fitted for, or run calibrating again"
            )
    return content
