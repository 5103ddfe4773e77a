"""Stained specimens in transmitted light: colours from amounts of stain, and the shape of red blood cells."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["absorbance", "red_cell_thickness", "transmitted_light"]

FloatArray = NDArray[np.float64]


def absorbance(colour: ArrayLike, background: ArrayLike) -> FloatArray:
    """Return the natural-logarithmic absorbance of a stain that shows ``colour`` before ``background``.

    Args:
        colour: where the amount of stain is 1, RGB ``(3,)``, positive.
        background: where there is no stain, RGB ``(3,)``.

    Example:
        >>> absorbance([100.0, 200.0, 200.0], [200.0, 200.0, 200.0]).round(3).tolist()
        [0.693, 0.0, 0.0]
    """
    return np.log(np.asarray(background, float) / np.asarray(colour, float))


def transmitted_light(
    background: NDArray[np.floating], amounts: Sequence[NDArray[np.floating]], absorbances: Sequence[ArrayLike]
) -> NDArray[np.floating]:
    """Return the colour behind several stains by the law of Beer and Lambert, ``I = I₀ exp(−Σ_s a_s ε_s)``.

    Args:
        background: light without a specimen, ``(…, 3)``, broadcasts against the result.
        amounts: amount of each stain, S arrays ``(…)`` of one shape.
        absorbances: absorbance of a unit of each stain, S vectors ``(3,)``.

    Returns:
        ``(…, 3)``.

    Example:
        >>> light = transmitted_light(np.full(3, 200.0), [np.array(2.0)], [np.log([2.0, 1.0, 1.0])])
        >>> light.round(6).tolist()
        [50.0, 200.0, 200.0]
    """
    depth = sum(
        np.asarray(amount)[..., None] * np.asarray(per_unit, dtype=np.asarray(amount).dtype)
        for amount, per_unit in zip(amounts, absorbances, strict=True)
    )
    return background * np.exp(-depth)


def red_cell_thickness(rho: ArrayLike, pallor: ArrayLike = 1.0) -> NDArray[np.floating]:
    """Return the thickness of a red blood cell relative to that of its rim.

    The biconcave disc of Evans and Fung (Microvascular Research 4, 1972), ``√(1 − ρ²) (0.81 + 7.83 ρ² − 4.39 ρ⁴)`` µm
    for a cell of 7.82 µm, divided by its largest value and mixed with a flat disc.

    Args:
        rho: distance from the centre relative to the cell's outline, any shape.
        pallor: 1 for the biconcave disc, 0 for a disc without central pallor; broadcasts against ``rho``.

    Returns:
        Values from 0 to 1; 0 outside.

    Example:
        >>> red_cell_thickness([0.0, 0.7, 1.2]).round(2).tolist()
        [0.32, 1.0, 0.0]
    """
    rho = np.asarray(rho)
    square = np.minimum(rho.astype(np.result_type(rho.dtype, np.float32)) ** 2, 1)
    share = np.asarray(pallor, square.dtype)
    disc = np.sqrt(1 - square)
    biconcave = disc * (0.81 + 7.83 * square - 4.39 * square**2) / 2.5657
    # the rim of a flat disc is as steep as that of the biconcave one
    flat = np.minimum(1.0, 1.6 * disc)
    return share * biconcave + (1 - share) * flat
