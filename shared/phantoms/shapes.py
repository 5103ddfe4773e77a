"""Planar shapes: pixel grids in physical units, soft-edged ellipses and star-convex outlines.

Lengths are in µm unless a name says ``px``; angles in radians; images are ``(H, W)``, rows downwards.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import erf

__all__ = [
    "pixel_grid",
    "random_outline",
    "random_outlines",
    "soft_edge",
    "soft_ellipse",
    "star_body",
    "star_radius",
]

FloatArray = NDArray[np.float64]


def pixel_grid(
    shape: tuple[int, int], pixel_size: float, offset: tuple[float, float] = (0.0, 0.0)
) -> tuple[FloatArray, FloatArray]:
    """Return the coordinates of the pixel centres, seen from a point near the middle of the image.

    Args:
        shape: rows and columns, ``(H, W)``.
        pixel_size: µm/px.
        offset: rows and columns by which the origin lies off the middle, in pixels.

    Returns:
        ``y`` of shape ``(H, 1)`` and ``x`` of shape ``(1, W)``, in µm.

    Example:
        >>> y, x = pixel_grid((2, 4), 0.5)
        >>> x.ravel().tolist()
        [-0.75, -0.25, 0.25, 0.75]
    """
    y, x = (
        np.asarray((np.arange(n) - (n - 1) / 2 - o) * pixel_size, dtype=np.float64)
        for n, o in zip(shape, offset, strict=True)
    )
    return y[:, None], x[None, :]


def soft_ellipse(
    y: ArrayLike, x: ArrayLike, semi_axes: tuple[float, float], angle: float = 0.0, edge: float = 0.2
) -> FloatArray:
    """Return an ellipse that is 1 inside, 0 outside and falls over an edge of Gaussian blur.

    The distance to the outline is taken to first order, ``(ρ − 1) / |∇ρ|`` with ρ the normalised radius, so the
    edge has the same width everywhere.

    Args:
        y: rows' coordinates relative to the centre in µm.
        x: columns' coordinates; ``y`` and ``x`` broadcast to ``(H, W)``.
        semi_axes: half lengths along the ellipse's first and second axis in µm, both positive.
        angle: direction of the first axis, from x towards y.
        edge: standard deviation of the edge in µm, positive.

    Raises:
        ValueError: if a half length or the edge is not positive.
    """
    a, b = semi_axes
    if min(a, b, edge) <= 0:
        raise ValueError(f"semi_axes and edge must be positive, found {semi_axes} and {edge}")
    y, x = np.asarray(y, float), np.asarray(x, float)
    u = x * np.cos(angle) + y * np.sin(angle)
    v = y * np.cos(angle) - x * np.sin(angle)
    rho = np.sqrt((u / a) ** 2 + (v / b) ** 2)
    slope = np.sqrt((u / a**2) ** 2 + (v / b**2) ** 2) / np.maximum(rho, 1e-9)
    distance = (rho - 1) / np.maximum(slope, 1e-9)
    return soft_edge(distance, edge)


def soft_edge(distance: ArrayLike, edge: float) -> NDArray[Any]:
    """Return 1 well inside an outline, 0 well outside, and an edge of Gaussian blur between.

    Args:
        distance: from the outline, negative inside, in any unit and shape.
        edge: standard deviation of the blur in the same unit.

    Returns:
        Values of the shape of the distance, and of its type if that is a floating one.

    Example:
        >>> soft_edge([-9.0, 0.0, 9.0], 1.0).tolist()
        [1.0, 0.5, 0.0]
    """
    return 0.5 * (1 - erf(np.asarray(distance) / (math.sqrt(2) * edge)))


def random_outline(
    rng: np.random.Generator, roughness: float, harmonics: int = 6, decay: float = 1.5, elongation: float = 0.0
) -> FloatArray:
    """Draw the Fourier coefficients of a star-convex outline.

    The amplitude of harmonic m falls as ``m ** -decay``; m = 1 is left out, since it only moves the shape.

    Args:
        rng: source of randomness.
        roughness: expected root mean square of the relative radius about 1.
        harmonics: highest harmonic, at least 2.
        decay: exponent of the fall; a smaller one gives a more ragged outline.
        elongation: relative amplitude added to m = 2 in a random direction.

    Returns:
        Cosine and sine coefficients of harmonics 2 … ``harmonics``, ``(harmonics - 1, 2)``.
    """
    order = np.arange(2, harmonics + 1, dtype=float)
    weight = order**-decay
    weight *= roughness / np.sqrt(np.sum(weight**2))
    coefficients = rng.standard_normal((order.size, 2)) * weight[:, None]
    direction = rng.uniform(0, 2 * np.pi)
    coefficients[0] += elongation * np.array([np.cos(direction), np.sin(direction)])
    return coefficients


def random_outlines(
    rng: np.random.Generator, count: int, roughness: float, harmonics: int = 6, decay: float = 1.5
) -> FloatArray:
    """Draw the coefficients of many star-convex outlines at once; see :func:`random_outline`.

    Returns:
        Cosine and sine coefficients of harmonics 2 … ``harmonics`` of ``count`` outlines,
        ``(harmonics - 1, 2, count)``. With axes of length 1 appended they broadcast in :func:`star_radius` against
        angles ``(count, H, W)``.
    """
    order = np.arange(2, harmonics + 1, dtype=float)
    weight = order**-decay
    weight *= roughness / np.sqrt(np.sum(weight**2))
    return rng.standard_normal((order.size, 2, count)) * weight[:, None, None]


def star_radius(angle: ArrayLike, coefficients: FloatArray, smallest: float = 0.2) -> FloatArray:
    """Return the relative radius ``1 + Σ a_m cos(m θ) + b_m sin(m θ)`` of a star-convex outline.

    Args:
        angle: θ in radians, any shape.
        coefficients: as :func:`random_outline` gives them, ``(M - 1, 2)`` for m = 2 … M; further axes broadcast
            against the angle.
        smallest: the radius never falls below this, so that the outline does not cross itself.

    Example:
        >>> star_radius(0.0, np.array([[0.1, 0.0]])).round(3).item()
        1.1
    """
    angle = np.asarray(angle, float)
    # powers of exp(iθ) cost one multiplication per harmonic; cosines of every multiple cost far more
    step = np.exp(1j * angle)
    power, radius = step.copy(), np.ones_like(angle)
    for cosine, sine in coefficients:
        power = power * step
        radius = radius + cosine * power.real + sine * power.imag
    return np.maximum(radius, smallest)


def star_body(
    y: ArrayLike, x: ArrayLike, radius: float, coefficients: FloatArray, axial_ratio: float = 1.0
) -> FloatArray:
    """Return the thickness of a rounded body over a star-convex outline.

    ``t = 2 c √(1 − ρ²)`` with ρ the distance from the centre relative to the outline and c = ``axial_ratio`` ×
    ``radius`` the half thickness at the centre; without coefficients it is an ellipsoid of revolution, whose
    volume is 4/3 π ``radius``² c.

    Args:
        y: rows' coordinates relative to the centre in µm.
        x: columns' coordinates; ``y`` and ``x`` broadcast to ``(H, W)``.
        radius: mean radius of the outline in µm.
        coefficients: of the outline, see :func:`random_outline`; ``(0, 2)`` for a circle.
        axial_ratio: extent along the light's path relative to the diameter.

    Returns:
        Thickness along the light's path in µm, ``(H, W)``; 0 outside.
    """
    y, x = np.asarray(y, float), np.asarray(x, float)
    outline = radius * star_radius(np.arctan2(y, x), coefficients)
    return 2 * axial_ratio * radius * np.sqrt(np.maximum(0.0, 1 - (y**2 + x**2) / outline**2))
