"""Attribution maps as NIfTI files, which the field's viewers and MONAI open on top of the image."""

from __future__ import annotations

import os
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from numpy.typing import ArrayLike, NDArray

from shared.data.errors import DataError
from shared.data.files import atomic_path

__all__ = ["image_affine", "read_map", "write_map"]

DESCRIPTION_BYTES = 79


def image_affine(pixel_size_mm: float | tuple[float, float] = 1.0) -> NDArray[np.float64]:
    """Return an affine that makes viewers show a 2-D array upright: first row on top, first column on the left.

    NIfTI axes point to the patient's right, front and head. Viewers show an axial slice with the patient's left on the
    right and the front on top, so rows must run to the back (−y) and columns to the left (−x).

    Args:
        pixel_size_mm: size of a pixel in mm, or its height and width.

    Returns:
        ``(4, 4)``, from indices (row, column, slice) to mm.

    Raises:
        ValueError: if a size is not positive.
    """
    height, width = np.broadcast_to(np.asarray(pixel_size_mm, dtype=np.float64), (2,)).tolist()
    if not (0 < height < np.inf and 0 < width < np.inf):
        raise ValueError(f"pixel_size_mm must be positive, found {pixel_size_mm}")
    affine = np.zeros((4, 4))
    affine[1, 0], affine[0, 1], affine[2, 2], affine[3, 3] = -height, -width, (height * width) ** 0.5, 1.0
    return affine


def write_map(
    path: str | os.PathLike[str],
    attribution: ArrayLike,
    *,
    affine: ArrayLike | None = None,
    pixel_size_mm: float | tuple[float, float] = 1.0,
    description: str = "signed attribution",
) -> None:
    """Write a signed map on the grid of its image as ``.nii.gz``, atomically.

    The array is stored as ``(H, W, 1)`` in float32 without scaling, so that nibabel and MONAI's ``LoadImage`` give back
    its values in the same order. The header proposes a display window that is symmetric about 0. Equal maps give equal
    files.

    Args:
        path: the file, its name ending in ``.nii.gz``.
        attribution: the map ``(H, W)``.
        affine: affine of the image ``(4, 4)`` in mm, if it has one; by default :func:`image_affine`.
        pixel_size_mm: size of a pixel (height and width) for an image without an affine.
        description: a note for the header; what exceeds 79 bytes is cut off.

    Raises:
        ValueError: if the name has another ending, the map is not a finite 2-D array or the affine not a finite 4 × 4
            matrix.
    """
    if not Path(path).name.endswith(".nii.gz"):
        raise ValueError(f"{path}: the name of a NIfTI map must end in .nii.gz")
    values = np.asarray(attribution, dtype=np.float32)
    if values.ndim != 2 or values.size == 0 or not np.isfinite(values).all():
        raise ValueError(
            f"{path}: the map must be a finite array (H, W), found shape {values.shape} or NaN or infinity"
        )
    matrix = image_affine(pixel_size_mm) if affine is None else np.asarray(affine, dtype=np.float64)
    if matrix.shape != (4, 4) or not np.isfinite(matrix).all():
        raise ValueError(f"{path}: the affine must be a finite (4, 4) matrix, found {matrix.tolist()}")
    image = nib.Nifti1Image(values[:, :, None], matrix)
    # some readers know only one of the two forms
    image.set_sform(matrix, code="scanner")
    image.set_qform(matrix, code="scanner", strip_shears=True)
    image.header.set_xyzt_units("mm")
    limit = float(np.abs(values).max())
    image.header["cal_min"], image.header["cal_max"] = -limit, limit
    image.header["descrip"] = description.encode("utf-8")[:DESCRIPTION_BYTES]
    with atomic_path(path) as temporary:
        nib.save(image, temporary)


def read_map(path: str | os.PathLike[str]) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Read a map and its affine.

    Returns:
        The map ``(H, W)`` and the affine ``(4, 4)``.

    Raises:
        DataError: if the file is missing, is no NIfTI file or does not hold one 2-D map.
    """
    if not Path(path).is_file():
        raise DataError(f"{path}: no such file; explaining writes it")
    try:
        image = nib.load(path)
        values = np.asarray(image.dataobj, dtype=np.float32)
    except (ImageFileError, OSError, EOFError, ValueError) as error:
        raise DataError(f"{path}: not a whole NIfTI file ({error}); write it anew by explaining") from error
    if values.ndim != 3 or values.shape[2] != 1:
        raise DataError(f"{path}: expected one map (H, W, 1), found shape {values.shape}")
    return values[:, :, 0], np.asarray(image.affine)
