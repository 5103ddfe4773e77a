"""The phase image behind an off-axis hologram, retrieved with qpimage."""

from __future__ import annotations

import os

import numpy as np
from monai.utils import optional_import
from numpy.typing import NDArray

from scripts.preprocessing import subtract_polynomial
from shared.data.arrays import read_arrays
from shared.data.errors import DataError
from shared.data.integrity import check_array

__all__ = ["phase_from_hologram", "read_hologram"]


def phase_from_hologram(
    hologram: NDArray,
    background: NDArray | None = None,
    filter_name: str = "disk",
    filter_size: float = 1 / 3,
    invert_phase: bool = False,
    background_order: int | None = 1,
) -> NDArray[np.float32]:
    """Retrieve the unwrapped phase from an off-axis hologram.

    One side band of the Fourier transform is cut out and shifted to the origin; the phase of its inverse transform,
    less that of the background, is unwrapped (Takeda et al. 1982, J Opt Soc Am 72:156; done by qpimage).

    Args:
        hologram: intensities ``(H, W)``.
        background: intensities ``(H, W)`` of the same optics without a cell.
        filter_name: window of the side band, a name of qpretrieve such as ``disk``, ``smooth disk`` or ``gauss``.
        filter_size: radius of the window as a fraction of the distance between side band and centre.
        invert_phase: turn the sign, for optics in which the other side band holds a positive phase.
        background_order: order of the polynomial subtracted at the end, which takes away the tilt that is left and
            the arbitrary multiple of 2π of the unwrapping; None subtracts nothing.

    Returns:
        Phase in radians, ``(H, W)``.

    Raises:
        DataError: if an image is not two-dimensional, not finite or constant, or the sizes differ.
        OptionalImportError: if qpimage is not installed (``pip install qpimage``).
    """
    qpimage, _ = optional_import("qpimage", descriptor="{}; it retrieves the phase: pip install qpimage")
    check_array(hologram, None, "hologram")
    if hologram.ndim != 2:
        raise DataError(f"hologram has shape {hologram.shape}, expected one image (H, W)")
    if background is not None:
        check_array(background, hologram.shape, "background of the hologram")
    image = qpimage.QPImage(
        data=hologram.astype(float),
        bg_data=None if background is None else background.astype(float),
        which_data="raw-oah",
        qpretrieve_kw={"filter_name": filter_name, "filter_size": filter_size, "invert_phase": invert_phase},
    )
    # with qpretrieve >= 0.7 a leading axis of length 1 is added
    phase = np.asarray(image.pha, dtype=np.float32).reshape(hologram.shape)
    return phase if background_order is None else subtract_polynomial(phase, background_order)


def read_hologram(
    path: str | os.PathLike[str], hologram_key: str = "data", background_key: str | None = "bg_data"
) -> tuple[NDArray, NDArray | None]:
    """Read a hologram and its background from an ``.npz`` file.

    Raises:
        DataError: if the file cannot be read or lacks a key.
    """
    arrays = read_arrays(path, {"hologram": hologram_key, "background": background_key})
    return arrays["hologram"], arrays.get("background")
