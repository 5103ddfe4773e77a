"""One image file of any usual kind, or several arrays of an ``.npz`` file, with errors that say what is wrong."""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

from shared.data.errors import DataError
from shared.data.size_limit import check_shape

__all__ = ["IMAGE_SUFFIXES", "array_names", "read_arrays", "read_image"]

_TIFF = (".tif", ".tiff")
_PICTURE = (".png", ".jpg", ".jpeg", ".bmp")
IMAGE_SUFFIXES = (".npy", *_TIFF, *_PICTURE)
# what the readers raise for files that are cut short, of another kind, or too large to be one image
_FAULTS = (
    OSError,
    ValueError,
    EOFError,
    SyntaxError,
    MemoryError,
    Image.DecompressionBombError,
    tifffile.TiffFileError,
)


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
            return _read_tiff(file)
        if suffix in _PICTURE:
            with Image.open(file) as picture:
                return np.asarray(picture)
    except _FAULTS as error:
        raise DataError(
            f"{file}: cannot be read as {suffix} ({error}); {file.stat().st_size} bytes found, the file may be cut "
            "short or of another kind: copy it anew"
        ) from error
    raise DataError(f"{file}: unknown kind of image '{suffix}'; expected one of {', '.join(IMAGE_SUFFIXES)}")


def _read_tiff(file: Path) -> NDArray[Any]:
    """Read the first image, if it is not one that unpacks to more than Pillow would read of a picture."""
    with tifffile.TiffFile(file) as content:
        shape = content.series[0].shape if content.series else ()
        check_shape(shape)
        return np.asarray(content.asarray())


def array_names(path: str | os.PathLike[str]) -> list[str]:
    """Return the names of the arrays of an ``.npz`` file, without reading the arrays.

    Raises:
        DataError: if the file is missing or cut short.
    """
    with _open_npz(path) as content:
        return list(content)


def read_arrays(path: str | os.PathLike[str], keys: Mapping[str, str | None]) -> dict[str, NDArray[Any]]:
    """Read arrays of an ``.npz`` file.

    Args:
        path: the file.
        keys: name of each array in the file, by the role it is returned under; None leaves a role out.

    Raises:
        DataError: if the file is missing, cut short, lacks a name, or would need to unpickle objects.
    """
    wanted = {role: key for role, key in keys.items() if key is not None}
    with _open_npz(path) as content:
        found = list(content)
        if missing := [key for key in wanted.values() if key not in found]:
            raise DataError(f"{path}: no array '{missing[0]}', found {', '.join(found) or 'none'}; set its name")
        return {role: content[key] for role, key in wanted.items()}


@contextmanager
def _open_npz(path: str | os.PathLike[str]) -> Iterator[Mapping[str, NDArray[Any]]]:
    """Open an ``.npz`` file; what goes wrong in the block for the file's sake becomes a :class:`DataError`."""
    file = Path(path)
    if not file.is_file():
        raise DataError(f"{file}: no such file")
    try:
        with np.load(file, allow_pickle=False) as content:
            yield content
    except DataError:
        raise
    except (OSError, ValueError, EOFError, TypeError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(
            f"{file}: not a readable .npz file ({error}); {file.stat().st_size} bytes found, the copy may have been "
            "cut short: copy it anew"
        ) from error
