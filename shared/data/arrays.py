"""One image file of any usual kind, or several arrays of an ``.npz`` file, with errors that say what is wrong."""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

from shared.data.errors import DataError

__all__ = ["IMAGE_SUFFIXES", "read_arrays", "read_image"]

_TIFF = (".tif", ".tiff")
_PICTURE = (".png", ".jpg", ".jpeg", ".bmp")
IMAGE_SUFFIXES = (".npy", *_TIFF, *_PICTURE)


def read_image(path: str | os.PathLike[str]) -> NDArray[Any]:
    """Read an NPY, TIFF or picture file as it is, without any scaling.

    Returns:
        The array as stored: ``(H, W)`` or ``(H, W, C)`` for pictures, any shape for NPY.

    Raises:
        DataError: if the file is missing, cut short, of unknown kind, or would need to unpickle objects.
    """
    file = Path(path)
    if not file.is_file():
        raise DataError(f"{file}: no such file")
    suffix = file.suffix.lower()
    try:
        if suffix == ".npy":
            return np.load(file, allow_pickle=False)
        if suffix in _TIFF:
            return np.asarray(tifffile.imread(file))
        if suffix in _PICTURE:
            with Image.open(file) as picture:
                return np.asarray(picture)
    except (OSError, ValueError, EOFError, SyntaxError, tifffile.TiffFileError) as error:
        raise DataError(
            f"{file}: cannot be read as {suffix} ({error}); {file.stat().st_size} bytes found, the file may be cut "
            "short or of another kind: copy it anew"
        ) from error
    raise DataError(f"{file}: unknown kind of image '{suffix}'; expected one of {', '.join(IMAGE_SUFFIXES)}")


def read_arrays(path: str | os.PathLike[str], keys: Mapping[str, str | None]) -> dict[str, NDArray[Any]]:
    """Read arrays of an ``.npz`` file.

    Args:
        path: the file.
        keys: name of each array in the file, by the role it is returned under; None leaves a role out.

    Raises:
        DataError: if the file is missing, cut short, lacks a name, or would need to unpickle objects.
    """
    file = Path(path)
    if not file.is_file():
        raise DataError(f"{file}: no such file")
    wanted = {role: key for role, key in keys.items() if key is not None}
    try:
        with np.load(file, allow_pickle=False) as content:
            found = list(content)
            missing = [key for key in wanted.values() if key not in found]
            arrays = {} if missing else {role: content[key] for role, key in wanted.items()}
    except (OSError, ValueError, EOFError, TypeError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(
            f"{file}: not a readable .npz file ({error}); {file.stat().st_size} bytes found, the copy may have been "
            "cut short: copy it anew"
        ) from error
    if missing:
        raise DataError(f"{file}: no array '{missing[0]}', found {', '.join(found) or 'none'}; set its name")
    return arrays
