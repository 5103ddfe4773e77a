"""Textures: band-limited Gaussian random fields, and granules as scattered small spheres."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import fft

__all__ = ["gaussian_random_field", "render_granules", "scatter_in_ball"]

FloatArray = NDArray[np.float64]


def gaussian_random_field(
    shape: tuple[int, ...], correlation_px: float, rng: np.random.Generator, longest_px: float | None = None
) -> FloatArray:
    """Draw a periodic Gaussian random field of mean 0 and expected variance 1, or several independent ones.

    White noise is filtered by ``exp(−k² L² / 4)``, which gives the autocorrelation ``exp(−r² / (2 L²))``. With
    ``longest_px`` the band is also limited from below, by ``1 − exp(−k² Λ² / 4)``.

    Args:
        shape: ``(H, W)``, or ``(N, H, W)`` for N fields.
        correlation_px: L in pixels.
        rng: source of randomness.
        longest_px: Λ in pixels; structure much longer than this is taken out.

    Returns:
        The fields, of shape ``shape``, float64.
    """
    spectrum = fft.rfft2(rng.standard_normal(shape, dtype=np.float32))
    size = (shape[-2], shape[-1])
    return fft.irfft2(spectrum * _band(size, correlation_px, longest_px), s=size).astype(np.float64)


@lru_cache(maxsize=32)
def _band(shape: tuple[int, int], correlation_px: float, longest_px: float | None) -> NDArray[np.float32]:
    """Return the gain of the field's filter over the half spectrum ``(H, W // 2 + 1)``, without the mean."""
    ky = 2 * np.pi * fft.fftfreq(shape[0])[:, None]
    kx = 2 * np.pi * fft.fftfreq(shape[1])[None, :]
    square = ky**2 + kx**2
    gain = np.exp(-square * correlation_px**2 / 4)
    if longest_px is not None:
        gain *= 1 - np.exp(-square * longest_px**2 / 4)
    gain[0, 0] = 0.0
    gain /= np.sqrt(np.mean(gain**2))
    return gain[:, : shape[1] // 2 + 1].astype(np.float32)


def scatter_in_ball(rng: np.random.Generator, count: int, separation: float = 0.0, batch: int = 4) -> FloatArray:
    """Scatter points in the unit ball, no two closer than ``separation`` (Poisson-disc by dart throwing).

    Args:
        rng: source of randomness.
        count: number of points wanted; fewer come back when the darts find no more room.
        separation: least distance between two points, in units of the ball's radius; 0 for independent points.
        batch: darts thrown for each point wanted.

    Returns:
        Points ``(n, 3)`` with ``n <= count``.
    """
    if count == 0:
        return np.empty((0, 3))
    number = count * batch if separation > 0 else count
    direction = rng.standard_normal((number, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    darts = direction * rng.uniform(size=(number, 1)) ** (1 / 3)
    if separation <= 0:
        return darts
    close = ((darts[:, None] - darts[None]) ** 2).sum(axis=-1) < separation**2  # (n, n)
    kept = np.zeros(number, dtype=bool)
    for index in range(number):
        kept[index] = not (close[index] & kept).any()
        if kept.sum() == count:
            break
    return darts[kept]


def render_granules(
    shape: tuple[int, int], rows: FloatArray, columns: FloatArray, radii: FloatArray
) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Return the summed thickness of small spheres, each with its exact volume, and the pixels that they cover.

    The chord ``2 √(r² − d²)`` is averaged over 3 × 3 points per pixel and scaled to the volume 4/3 π r³. A sphere of
    less than half a pixel radius is spread over half a pixel, its volume unchanged.

    Args:
        shape: ``(H, W)``.
        rows: of the centres in pixels, ``(G,)``; whatever falls outside the image is lost.
        columns: of the centres in pixels, ``(G,)``.
        radii: in pixels, ``(G,)``.

    Returns:
        Thickness in pixels ``(H, W)``, and a mask ``(H, W)`` of the pixels whose centre a (spread) sphere covers.
    """
    thickness, covered = np.zeros(shape), np.zeros(shape, dtype=bool)
    if len(radii) == 0:
        return thickness, covered
    drawn = np.maximum(radii, 0.5)
    reach = int(np.ceil(drawn.max() + 0.5))
    offsets = np.arange(-reach, reach + 1)
    fine = (offsets[:, None] + np.array([-1, 0, 1]) / 3).ravel()  # three points per pixel
    base_row, base_column = np.rint(rows).astype(int), np.rint(columns).astype(int)
    dy = fine - (rows - base_row)[:, None]  # (G, 3 P)
    dx = fine - (columns - base_column)[:, None]
    square = drawn[:, None, None] ** 2 - dy[:, :, None] ** 2 - dx[:, None, :] ** 2  # (G, 3 P, 3 P)
    size = offsets.size
    chord = np.sqrt(np.maximum(square, 0.0)).reshape(-1, size, 3, size, 3).mean(axis=(2, 4))  # (G, P, P)
    chord *= (4 / 3 * np.pi * radii**3 / chord.sum(axis=(1, 2)))[:, None, None]
    centre = square[:, 1::3, 1::3] >= 0
    y = base_row[:, None, None] + offsets[None, :, None] + np.zeros((1, 1, size), int)
    x = base_column[:, None, None] + offsets[None, None, :] + np.zeros((1, size, 1), int)
    valid = (y >= 0) & (y < shape[0]) & (x >= 0) & (x < shape[1])
    np.add.at(thickness, (y[valid], x[valid]), chord[valid])
    covered[y[valid & centre], x[valid & centre]] = True
    return thickness, covered
