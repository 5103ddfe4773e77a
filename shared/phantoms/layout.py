"""Where the objects of a frame lie: apart from each other, some touching, some cut by the border."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["place_discs"]


def place_discs(
    radii: ArrayLike,
    shape: tuple[int, int],
    rng: np.random.Generator,
    clearance: float = 0.0,
    margin: float = 0.0,
    overlap: float = 0.0,
    cut: float = 0.0,
    attempts: int = 200,
) -> NDArray[np.float64]:
    """Draw centres for discs in an image, all lengths in pixels.

    A disc is placed at random where it keeps its distance from those before it. With probability ``overlap`` it is
    instead laid against an earlier disc, at 0.8 to 1.0 of the sum of the radii; with probability ``cut`` its centre
    lies within its own radius of a border, which then cuts it.

    Args:
        radii: ``(N,)``.
        shape: ``(H, W)`` of the image.
        rng: source of randomness.
        clearance: free distance between discs that do not overlap.
        margin: least distance of a centre from the border, for discs that the border does not cut.
        overlap: probability of touching an earlier disc.
        cut: probability of being cut by the border.
        attempts: positions tried for each disc.

    Returns:
        Row and column of the centres, ``(N, 2)``; NaN for a disc that found no room.

    Raises:
        ValueError: if the margin leaves no room at all.
    """
    radii = np.asarray(radii, float)
    height, width = shape
    if 2 * margin >= min(shape):
        raise ValueError(f"a margin of {margin} px leaves no room in an image of {height} x {width} px")
    centres = np.full((radii.size, 2), np.nan)
    for index, radius in enumerate(radii):
        placed = np.flatnonzero(~np.isnan(centres[:, 0]))
        fate = rng.uniform()
        touching = fate < overlap and placed.size > 0
        mate = int(rng.choice(placed)) if touching else -1
        others = placed[placed != mate]
        inset = max(margin, radius)
        candidates = rng.uniform([inset, inset], [height - 1 - inset, width - 1 - inset], (attempts, 2))
        if touching:
            angle = rng.uniform(0, 2 * np.pi, attempts)
            distance = rng.uniform(0.8, 1.0, attempts) * (radius + radii[mate])
            candidates = centres[mate] + distance[:, None] * np.stack([np.sin(angle), np.cos(angle)], axis=1)
        elif fate > 1 - cut:
            axis, far = rng.integers(2), rng.integers(2)
            depth = rng.uniform(-0.3, 0.8, attempts) * radius
            candidates[:, axis] = np.where(far, shape[axis] - 1 - depth, depth)
        limit = radii[others] + radius + clearance
        distance = np.linalg.norm(candidates[:, None] - centres[others][None], axis=-1)
        free = (distance >= limit).all(axis=1)
        if touching:
            free &= ((candidates >= inset) & (candidates <= np.array(shape) - 1 - inset)).all(axis=1)
        if free.any():
            centres[index] = candidates[np.argmax(free)]
    return centres
