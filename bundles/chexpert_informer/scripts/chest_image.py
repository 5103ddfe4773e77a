"""One chest radiograph of any usual kind of file as grey values, dense structures bright."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scripts.dicom import is_dicom, read_dicom
from shared.data.arrays import read_image
from shared.data.errors import DataError
from shared.data.integrity import check_array

__all__ = ["PICTURES", "read_chest_image"]

#: pictures that radiographs are published as
PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")


def read_chest_image(path: str | os.PathLike[str]) -> NDArray[np.float32]:
    """Read a picture or a DICOM file.

    A picture may be of 8 or 16 bits; three equal colours, and an alpha channel, count as grey.

    Args:
        path: the file.

    Returns:
        ``(H, W)`` in the file's own unit.

    Raises:
        DataError: if the file is missing, cut short or of unknown kind, if a picture is in colour, or if the image is
            constant or not finite; for DICOM see :func:`scripts.dicom.read_dicom`.
    """
    file = Path(path)
    if not file.is_file():
        raise DataError(f"{file}: no such file")
    if file.suffix.lower() in PICTURES:
        image = _grey(file)
    elif is_dicom(file):
        image = read_dicom(file)
    else:
        raise DataError(f"{file}: unknown kind of image; expected DICOM or one of {', '.join(PICTURES)}")
    try:
        check_array(image)
    except DataError as error:
        raise DataError(f"{file}: {error}; leave the image out, or export it anew") from error
    return image


def _grey(file: Path) -> NDArray[np.float32]:
    image = read_image(file)
    if image.ndim == 3 and image.shape[2] in (2, 3, 4):
        colours = image[..., : 1 if image.shape[2] == 2 else 3]  # the last of two or four is the alpha channel
        if (colours != colours[..., :1]).any():
            raise DataError(f"{file}: is in colour, expected a grey radiograph")
        image = colours[..., 0]
    if image.ndim != 2:
        shape = " x ".join(map(str, image.shape))
        raise DataError(f"{file}: is of shape {shape}, expected rows x columns")
    return image.astype(np.float32)
