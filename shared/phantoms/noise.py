"""What an interferometric microscope adds to a phase image: shot noise, coherent noise and a curved background."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shared.phantoms.textures import gaussian_random_field

__all__ = ["coherent_noise", "polynomial_background", "random_background", "shot_noise_std", "white_noise"]

FloatArray = NDArray[np.float64]


def shot_noise_std(photons: float, visibility: float) -> float:
    """Return the standard deviation of the phase of a fringe that ``photons`` detected photons make.

    The Fourier component of the fringe ``1 + V cos`` has the amplitude V N / 2 and, by Poisson statistics, the
    variance N / 2 in each quadrature, hence ``σ = √(2 / N) / V``.

    Args:
        photons: N, all photons that enter the estimate of one pixel's phase.
        visibility: V, contrast of the fringes, in (0, 1].

    Returns:
        σ in radians.

    Raises:
        ValueError: if there are no photons or the visibility is outside (0, 1].

    Example:
        >>> round(shot_noise_std(800, 0.5), 3)
        0.1
    """
    if photons <= 0 or not 0 < visibility <= 1:
        raise ValueError(f"photons must be positive and visibility in (0, 1], found {photons} and {visibility}")
    return float(np.sqrt(2 / photons) / visibility)


def white_noise(shape: tuple[int, int], std: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Draw independent Gaussian noise ``(H, W)`` of standard deviation ``std``, in the unit of ``std``."""
    return rng.standard_normal(shape, dtype=np.float32) * np.float32(std)


def coherent_noise(
    shape: tuple[int, int], std: float, grain_px: float, rng: np.random.Generator, longest_px: float | None = None
) -> FloatArray:
    """Draw slowly varying speckle-like noise: a Gaussian random field.

    Args:
        shape: ``(H, W)``.
        std: standard deviation, in radians for a phase image.
        grain_px: correlation length of the grains in pixels.
        rng: source of randomness.
        longest_px: structure much longer than this is left to the background.
    """
    return std * gaussian_random_field(shape, grain_px, rng, longest_px)


def polynomial_background(shape: tuple[int, int], coefficients: ArrayLike) -> FloatArray:
    """Return ``Σ c_ij v^i u^j`` with u (columns) and v (rows) running from −1 to 1 across the image.

    Args:
        shape: ``(H, W)``.
        coefficients: ``(I, J)``; ``[0][1]`` tilts along the columns, ``[1][0]`` along the rows.

    Example:
        >>> polynomial_background((1, 3), [[0.5, 2.0]]).tolist()
        [[-1.5, 0.5, 2.5]]
    """
    coefficients = np.asarray(coefficients, float)
    v, u = (np.linspace(-1, 1, n) if n > 1 else np.zeros(1) for n in shape)
    rows = np.vander(v, coefficients.shape[0], increasing=True)
    columns = np.vander(u, coefficients.shape[1], increasing=True)
    return rows @ coefficients @ columns.T


def random_background(
    shape: tuple[int, int], rng: np.random.Generator, tilt: float, curvature: float, piston: float = 0.0
) -> FloatArray:
    """Draw a polynomial background of second order.

    Args:
        shape: ``(H, W)``.
        rng: source of randomness.
        tilt: standard deviation of the linear coefficients (rise from the middle to an edge), in radians.
        curvature: standard deviation of the three quadratic coefficients, in radians.
        piston: standard deviation of the constant, in radians.
    """
    scale = np.array([[piston, tilt, curvature], [tilt, curvature, 0], [curvature, 0, 0]])
    return polynomial_background(shape, rng.standard_normal((3, 3)) * scale)
