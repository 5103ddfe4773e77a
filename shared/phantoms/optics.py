"""Light through a transparent object: phase of an optical path, resolution, and focus.

Lengths in µm; phases in radians; images ``(H, W)``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage
from skimage.restoration import unwrap_phase

__all__ = ["blur", "defocus", "path_to_phase", "propagate"]

FloatArray = NDArray[np.float64]


def path_to_phase(path: NDArray, wavelength: float) -> NDArray:
    """Return the phase ``2 π OPD / λ`` of an optical path difference; both in µm.

    Example:
        >>> path_to_phase(np.array(0.264), 0.528).round(4).item()
        3.1416
    """
    return path * (2 * np.pi / wavelength)


def blur(image: FloatArray, std: float, pixel_size: float) -> FloatArray:
    """Return the image seen through a Gaussian point spread function.

    Args:
        image: ``(H, W)``; taken to be 0 beyond its edges.
        std: standard deviation of the point spread function in µm.
        pixel_size: µm/px.
    """
    return ndimage.gaussian_filter(image, std / pixel_size, mode="constant", truncate=4.0)


def propagate(
    field: NDArray[np.complexfloating], distance: float, wavelength: float, pixel_size: float, medium_index: float
) -> NDArray[np.complex128]:
    """Carry a complex field along the light's path by the angular spectrum (Goodman, Fourier Optics, eq. 3-74).

    The carrier ``exp(i k z)`` of the undisturbed wave is taken out, so a field of 1 stays 1. Evanescent waves, which a
    microscope does not collect, are dropped. The field is periodic at the image's edges.

    Args:
        field: ``(H, W)``.
        distance: in µm; negative goes back.
        wavelength: in vacuum, µm.
        pixel_size: µm/px.
        medium_index: refractive index of the medium.
    """
    k = 2 * np.pi * medium_index / wavelength
    ky = 2 * np.pi * fft.fftfreq(field.shape[0], pixel_size)[:, None]
    kx = 2 * np.pi * fft.fftfreq(field.shape[1], pixel_size)[None, :]
    axial = k**2 - ky**2 - kx**2
    transfer = np.where(axial > 0, np.exp(1j * distance * (np.sqrt(np.maximum(axial, 0)) - k)), 0)
    return fft.ifft2(fft.fft2(field) * transfer)


def defocus(
    phase: FloatArray, distance: float, wavelength: float, pixel_size: float, medium_index: float, pad: int = 24
) -> FloatArray:
    """Return the unwrapped phase of a pure phase object seen ``distance`` µm out of focus.

    Args:
        phase: phase of the object in focus, ``(H, W)``, 0 around it.
        distance: of the plane in focus from the object, µm.
        wavelength: in vacuum, µm.
        pixel_size: µm/px.
        medium_index: refractive index of the medium.
        pad: pixels of empty medium added on every side, which keep the periodic images of the diffraction rings apart.

    Returns:
        Phase ``(H, W)``, 0 far from the object.
    """
    field = propagate(np.exp(1j * np.pad(phase, pad)), distance, wavelength, pixel_size, medium_index)
    unwrapped = unwrap_phase(np.angle(field))
    edge = np.concatenate([unwrapped[[0, -1]].ravel(), unwrapped[:, [0, -1]].ravel()])
    # unwrapping fixes the phase up to whole turns
    unwrapped -= 2 * np.pi * np.rint(np.median(edge) / (2 * np.pi))
    return unwrapped[pad : pad + phase.shape[0], pad : pad + phase.shape[1]]
