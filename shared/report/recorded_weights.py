"""Which weights and which calibration a result says that it was made with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from shared.data.files import sha256_file

__all__ = ["calibration_mismatch", "find_calibration", "recorded_calibrations", "recorded_files", "recorded_weights"]


def recorded_weights(content: Mapping[str, Any]) -> dict[str, str]:
    """Return the hashes that a file names as its weights, each with its file: its own key, or its provenance.

    Args:
        content: a calibration file, a metrics file or an index of explanations.

    Returns:
        SHA-256 to file; the file is empty where only the hash is known.
    """
    if content.get("weights_sha256"):
        return {str(content["weights_sha256"]): ""}
    return recorded_files(content.get("provenance"), "weights")


def recorded_files(provenance: Any, role: str) -> dict[str, str]:
    """Return the files that a provenance lists as ``data`` or ``weights``: SHA-256 to file.

    Example:
        >>> recorded_files({"data": [{"file": "data/datalist.json", "sha256": "5f2c"}]}, "data")
        {'5f2c': 'data/datalist.json'}
    """
    listed = provenance.get(role) if isinstance(provenance, Mapping) else None
    return {
        str(entry["sha256"]): str(entry.get("file", ""))
        for entry in listed or []
        if isinstance(entry, Mapping) and entry.get("sha256")
    }


def recorded_calibrations(content: Mapping[str, Any]) -> dict[str, str]:
    """Return the hashes of the calibrations that a result was made with, each with its file; see `recorded_weights`."""
    return {digest: file for digest, file in recorded_weights(content).items() if file.endswith(".json")}


def find_calibration(eval_dir: Path, results: Iterable[Mapping[str, Any] | None]) -> Path | None:
    """Look for the calibration that results name where commands usually leave it: as named, or beside ``eval_dir``.

    Args:
        eval_dir: the folder of the results.
        results: their contents.

    Returns:
        The file with the very hash that a result names; ``None`` if it is not there.
    """
    for content in results:
        for digest, file in recorded_calibrations(content or {}).items():
            for place in (Path(file), eval_dir.absolute().parent / "models" / Path(file).name):
                if place.is_file() and sha256_file(place) == digest:
                    return place
    return None


def calibration_mismatch(
    calibration: Mapping[str, Any], file: Path, results: Mapping[str, Mapping[str, Any] | None]
) -> str | None:
    """Tell why a calibration is not the one that results were made with.

    Args:
        calibration: content of the calibration file.
        file: the calibration file.
        results: name to content of the results; the first that names its weights decides.

    Returns:
        What differs; ``None`` if nothing does, or if no result names its weights.
    """
    fitted = calibration.get("weights_sha256")
    for name, content in results.items():
        used = recorded_weights(content or {})
        if not used or not fitted:
            continue
        if fitted not in used:
            return (
                f"{file.name} was fitted for other weights ({str(fitted)[:12]}) than those of {name} "
                f"({', '.join(digest[:12] for digest in used)})"
            )
        calibrations = recorded_calibrations(content or {})
        if calibrations and sha256_file(file) not in calibrations:
            return f"{file.name} is not the calibration that {name} was made with"
        return None
    return None
