"""Three-dimensional bodies made of spheres, and how thick they are along the light's path.

A body is an array ``(K, 4)`` of spheres: x, y, z of the centre and the radius, in any one unit of length. z runs along
the light. Chains of overlapping spheres make lobed and kidney-shaped nuclei; a rotation makes a tumbling cell.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["arc_chain", "inside_spheres", "lobed_chain", "rotate_spheres", "sphere_union_thickness", "tumble"]

FloatArray = NDArray[np.float64]


def sphere_union_thickness(y: ArrayLike, x: ArrayLike, spheres: FloatArray) -> FloatArray:
    """Return the exact length of the light's path inside a union of spheres.

    At every pixel each sphere covers an interval of z. With the starts and the ends sorted each for itself, the union
    of the intervals measures ``e_K − s_1 − Σ max(0, s_{k+1} − e_k)``: a gap opens exactly where all begun intervals
    have ended. Overlapping spheres are thus counted once.

    Args:
        y: rows' coordinates of the pixels, in the unit of the spheres.
        x: columns' coordinates; ``y`` and ``x`` broadcast to ``(H, W)``.
        spheres: ``(K, 4)``.

    Returns:
        Thickness ``(H, W)`` in the same unit.

    Example:
        >>> twice = np.array([[0, 0, 0, 1.0], [0, 0, 0.5, 1.0]])
        >>> sphere_union_thickness(0.0, 0.0, twice).item()
        2.5
    """
    y, x = np.broadcast_arrays(np.asarray(y, float), np.asarray(x, float))
    if len(spheres) == 0:
        return np.zeros(y.shape)
    cx, cy, cz, radius = spheres.T.reshape(4, -1, *[1] * y.ndim)
    half = np.sqrt(np.maximum(0.0, radius**2 - (x - cx) ** 2 - (y - cy) ** 2))  # (K, H, W)
    start, end = np.sort(cz - half, axis=0), np.sort(cz + half, axis=0)
    thickness = end[-1] - start[0] - np.maximum(0.0, start[1:] - end[:-1]).sum(axis=0)
    # beside all spheres the gaps between their middles add up to nothing but for rounding: no ray is inside there
    return np.where((half > 0).any(axis=0), thickness, 0.0)


def inside_spheres(points: FloatArray, spheres: FloatArray) -> NDArray[np.bool_]:
    """Return whether each point ``(P, 3)`` lies in at least one of the spheres ``(K, 4)``."""
    distance = ((points[:, None, :] - spheres[None, :, :3]) ** 2).sum(axis=-1)  # (P, K)
    return (distance < spheres[:, 3] ** 2).any(axis=1)


def arc_chain(arc_radius: float, span: float, radii: ArrayLike) -> FloatArray:
    """Return spheres evenly along a circular arc in the plane z = 0, its centroid at the origin.

    Args:
        arc_radius: radius of the arc.
        span: angle of the arc in radians.
        radii: radius of each sphere from one end to the other, ``(K,)``.

    Returns:
        Spheres ``(K, 4)``. With a wide arc and overlapping spheres: a kidney.
    """
    radii = np.asarray(radii, float)
    angle = np.linspace(-span / 2, span / 2, radii.size)
    spheres = np.stack([arc_radius * np.cos(angle), arc_radius * np.sin(angle), 0 * angle, radii], axis=1)
    spheres[:, :3] -= np.average(spheres[:, :3], axis=0, weights=radii**3)
    return spheres


def lobed_chain(
    rng: np.random.Generator,
    lobe_radii: ArrayLike,
    arc_radius: float,
    gap: float = 0.1,
    jitter: float = 0.1,
    bridge: float = 0.3,
) -> FloatArray:
    """Draw a segmented nucleus: lobes along an arc, neighbours joined by thin filaments.

    Args:
        rng: source of randomness.
        lobe_radii: radius of each lobe along the chain, ``(K,)``.
        arc_radius: radius of the arc that the lobes lie on.
        gap: free distance between neighbouring lobes, relative to their mean radius; negative lets them overlap.
        jitter: standard deviation of the displacement of each lobe, relative to its radius, in all three directions.
        bridge: radius of the filaments relative to the smaller of the two lobes that they join.

    Returns:
        Spheres ``(K + 4 (K - 1), 4)``, the lobes first, the centroid at the origin.
    """
    radii = np.asarray(lobe_radii, float)
    chord = radii[1:] + radii[:-1] + gap * (radii[1:] + radii[:-1]) / 2
    step = 2 * np.arcsin(np.minimum(1.0, chord / (2 * arc_radius)))
    angle = np.concatenate([[0.0], np.cumsum(step)])
    # a chain that would run over its own beginning is squeezed to leave an opening
    angle *= min(1.0, 1.65 * np.pi / max(angle[-1], 1e-9))
    lobes = np.stack([arc_radius * np.cos(angle), arc_radius * np.sin(angle), 0 * angle], axis=1)
    lobes += rng.standard_normal(lobes.shape) * jitter * radii[:, None]
    lobes -= np.average(lobes, axis=0, weights=radii**3)
    fractions = np.linspace(0.2, 0.8, 4)[None, :, None]
    centres = (lobes[:-1, None] * (1 - fractions) + lobes[1:, None] * fractions).reshape(-1, 3)
    thin = np.repeat(bridge * np.minimum(radii[:-1], radii[1:]), 4)
    return np.column_stack([np.concatenate([lobes, centres]), np.concatenate([radii, thin])])


def tumble(rng: np.random.Generator, tilt: float) -> FloatArray:
    """Draw an orientation: any turn within the image plane, and a tilt out of it of at most ``tilt`` radians.

    Returns:
        Rotation matrix ``(3, 3)``. The tilt's axis is uniform in the plane, its angle uniform in [−tilt, tilt].
    """
    turn, axis, angle = rng.uniform(0, 2 * np.pi), rng.uniform(0, 2 * np.pi), rng.uniform(-tilt, tilt)

    def about_z(a: float) -> FloatArray:
        return np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])

    about_x = np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]])
    return about_z(axis) @ about_x @ about_z(turn - axis)


def rotate_spheres(spheres: FloatArray, rotation: FloatArray) -> FloatArray:
    """Return the spheres ``(K, 4)`` with their centres turned by a matrix ``(3, 3)``."""
    return np.column_stack([spheres[:, :3] @ rotation.T, spheres[:, 3]])
