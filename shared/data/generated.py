"""Generated data that is made once and then reused, as long as it was made with the same parameters."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from shared.data.differences import tell_differences
from shared.data.errors import DataError
from shared.data.files import read_json, write_json

__all__ = ["generate_once", "generated_parameters"]

_RECORD = "generated.json"


def generate_once(
    folder: str | os.PathLike[str],
    write: Callable[[Path], Any],
    parameters: Mapping[str, Any],
    overwrite: bool = False,
) -> bool:
    """Let ``write`` fill ``folder``, unless it already did so with the same parameters.

    The parameters are kept in ``generated.json``. After an interruption ``write`` is called again on the same folder,
    and may keep the files that are whole; an incomplete folder of other parameters is begun anew.

    Args:
        folder: where the generated files shall be.
        write: called with the folder to fill.
        parameters: everything the generated files depend on, as plain JSON values.
        overwrite: remove what is there first, whatever its parameters.

    Returns:
        True if the files were generated, False if those present were reused.

    Raises:
        DataError: if the folder holds something else and ``overwrite`` is false.
    """
    target, wanted = Path(folder), json.loads(json.dumps(dict(parameters)))
    record = target / _RECORD
    if target.exists() and not overwrite:
        if not record.is_file():
            raise DataError(f"{target}: exists but was not generated here; use another --output, or --overwrite")
        before = read_json(record)
        found = before["parameters"]
        changed = tell_differences(found, wanted)
        if before["complete"] and changed:
            raise DataError(
                f"{target}: use --overwrite to generate it anew, or another --output; it was generated with other "
                f"parameters ({changed})"
            )
        if before["complete"]:
            return False
        overwrite = bool(changed)
    if overwrite and target.exists():
        shutil.rmtree(target)
    target.mkdir(parents=True, exist_ok=True)
    write_json(record, {"parameters": wanted, "complete": False})
    write(target)
    write_json(record, {"parameters": wanted, "complete": True})
    return True


def generated_parameters(file: str | os.PathLike[str]) -> dict[str, Any] | None:
    """Return what a file was generated with: the parameters of the nearest generated folder that it lies in.

    Args:
        file: a file of a data set.

    Returns:
        The parameters as ``write`` of :func:`generate_once` took them; ``None`` if the file lies in no generated
        folder, as real data do.

    Raises:
        DataError: if the folder's record is broken.
    """
    for folder in Path(file).absolute().parents:
        if (folder / _RECORD).is_file():
            return dict(read_json(folder / _RECORD)["parameters"])
    return None
