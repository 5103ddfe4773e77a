"""Colours of signed attribution maps over grey images."""

from __future__ import annotations

import matplotlib
import numpy as np
from matplotlib.colors import ListedColormap
from numpy.typing import ArrayLike, NDArray

__all__ = ["blend", "colour_limit", "grey_levels", "robust_window", "transparent_colours"]

# blue to red through grey with equal steps of perceived colour and equally dark ends (Moreland 2009); blue and red stay
# apart in all common forms of colour blindness
COLOURS = "coolwarm"
OPACITY = 0.85


def blend(
    image: ArrayLike,
    attribution: ArrayLike,
    percentile: float = 99.0,
    window: tuple[float, float] | None = None,
) -> NDArray[np.float64]:
    """Return the map over the grey image, without any frame.

    Args:
        image: ``(H, W)``.
        attribution: signed map ``(H, W)``.
        percentile: percentile of the magnitude at which the colours saturate.
        window: image values shown as black and white; by default :func:`robust_window`.

    Returns:
        Red, green and blue in [0, 1], ``(H, W, 3)``.
    """
    values = np.asarray(attribution, dtype=np.float64)
    limit = colour_limit(values, percentile)
    colours = transparent_colours()((values / limit + 1) / 2)  # (H, W, 4)
    opacity = colours[..., 3:]
    return grey_levels(image, window)[..., None] * (1 - opacity) + colours[..., :3] * opacity


def grey_levels(image: ArrayLike, window: tuple[float, float] | None = None) -> NDArray[np.float64]:
    """Return an image's grey levels in [0, 1]; ``window`` is what becomes black and white."""
    picture = np.asarray(image, dtype=np.float64)
    low, high = window or robust_window(picture)
    return np.clip((picture - low) / (high - low), 0, 1)


def colour_limit(attribution: ArrayLike, percentile: float = 99.0) -> float:
    """Return the magnitude at which the colours saturate.

    It is a percentile of the magnitude, so that a few extreme pixels do not hide the rest; the largest magnitude where
    that percentile is 0, and 1 for a map that is 0 everywhere.

    Raises:
        ValueError: if ``percentile`` is outside (0, 100].
    """
    if not 0 < percentile <= 100:
        raise ValueError(f"percentile must be in (0, 100], found {percentile}")
    magnitude = np.abs(np.asarray(attribution, dtype=np.float64))
    return float(np.percentile(magnitude, percentile)) or float(magnitude.max()) or 1.0


def transparent_colours() -> ListedColormap:
    """Return the diverging colour map with an opacity that grows from 0 in the middle with the magnitude."""
    colours = matplotlib.colormaps[COLOURS](np.linspace(0, 1, 257))
    colours[:, 3] = OPACITY * np.abs(np.linspace(-1, 1, 257))
    return ListedColormap(colours, name=f"{COLOURS} by magnitude")


def robust_window(picture: NDArray[np.float64]) -> tuple[float, float]:
    """Return the image values ``(H, W)`` to be shown as black and white: the 0.5th and 99.5th percentile."""
    low, high = np.percentile(picture, [0.5, 99.5]).tolist()
    if low == high:
        low, high = float(picture.min()), float(picture.max())
    return (low, high) if low < high else (low - 0.5, low + 0.5)
