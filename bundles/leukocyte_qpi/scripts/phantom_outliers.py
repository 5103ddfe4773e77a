"""What a flow cell shows besides leukocytes: thrombocytes, aggregates, cells out of focus, ruptured cells, debris."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from scripts.phantom_cells import CLASSES, TRUTH, Donor, render_cell, sample_cell
from scripts.phantom_parameters import Optics, PhantomParameters
from shared.phantoms.optics import blur, defocus, path_to_phase
from shared.phantoms.shapes import pixel_grid, random_outline, soft_ellipse, star_body
from shared.phantoms.textures import gaussian_random_field

__all__ = ["OUTLIER_KINDS", "draw_debris", "draw_outlier"]

OUTLIER_KINDS = ("thrombocyte", "aggregate", "defocused", "ruptured", "empty")

FloatArray = NDArray[np.float64]
Drawing = tuple[FloatArray, NDArray[np.uint8]]


def draw_outlier(
    kind: str,
    rng: np.random.Generator,
    parameters: PhantomParameters,
    donor: Donor | None = None,
    shape: tuple[int, int] = (50, 50),
    offset: tuple[float, float] = (0.0, 0.0),
) -> Drawing:
    """Draw one object that is no classifiable leukocyte.

    Args:
        kind: one of :data:`OUTLIER_KINDS`.
        rng: source of randomness.
        parameters: of the phantoms.
        donor: relative factors; the average donor if None.
        shape: ``(H, W)``.
        offset: rows and columns by which the object lies off the middle, in pixels.

    Returns:
        Phase without noise in radians and truth bits, each ``(H, W)``. No pixel has the bit ``cause``.

    Raises:
        ValueError: if the kind is unknown.
    """
    draw = {
        "thrombocyte": _thrombocyte,
        "aggregate": _aggregate,
        "defocused": _defocused,
        "ruptured": _ruptured,
        "empty": _empty,
    }
    if kind not in draw:
        raise ValueError(f"no outlier kind is called '{kind}'; choose one of {list(OUTLIER_KINDS)}")
    phase, truth = draw[kind](rng, parameters, donor or Donor(), shape, offset)
    return phase, truth & np.uint8(255 - TRUTH.value("cause"))


def draw_debris(
    rng: np.random.Generator,
    optics: Optics,
    shape: tuple[int, int],
    offset: tuple[float, float] = (0.0, 0.0),
    large: bool = False,
) -> FloatArray:
    """Draw a speck of cell debris, 0.5–1.4 µm across (``large``: 1.2–2.4 µm); returns its phase in radians."""
    y, x = pixel_grid(shape, optics.pixel_size, offset)
    radius = rng.uniform(0.6, 1.2) if large else rng.uniform(0.25, 0.7)
    path = star_body(y, x, radius, random_outline(rng, 0.15), rng.uniform(0.4, 1.0)) * rng.uniform(0.02, 0.05)
    return path_to_phase(blur(path, optics.resolution, optics.pixel_size), optics.wavelength)


def _thrombocyte(
    rng: np.random.Generator,
    parameters: PhantomParameters,
    donor: Donor,
    shape: tuple[int, int],
    offset: tuple[float, float],
) -> Drawing:
    """A small disc seen at any angle, with a denser granular middle."""
    optics, outliers = parameters.optics, parameters.outliers
    y, x = pixel_grid(shape, optics.pixel_size, offset)
    radius = rng.uniform(*outliers.thrombocyte_um) / 2
    body = star_body(y, x, radius, random_outline(rng, 0.06, elongation=rng.uniform(0, 0.15)), rng.uniform(0.45, 0.8))
    core = star_body(y, x, 0.5 * radius, random_outline(rng, 0.1), 0.6)
    path = (rng.uniform(*outliers.thrombocyte_index) * body + rng.uniform(0.01, 0.03) * core) * donor.index
    phase = path_to_phase(blur(path, optics.resolution, optics.pixel_size), optics.wavelength)
    return phase, TRUTH.encode({"cell": body > 0})


def _aggregate(
    rng: np.random.Generator,
    parameters: PhantomParameters,
    donor: Donor,
    shape: tuple[int, int],
    offset: tuple[float, float],
) -> Drawing:
    """Members in contact: thrombocytes, leukocytes, or a leukocyte with thrombocytes on its rim."""
    share = np.array(parameters.outliers.aggregates)
    recipe = rng.choice(3, p=share / share.sum())
    if recipe == 0:
        members = ["thrombocyte"] * int(rng.integers(3, 8))
    elif recipe == 1:
        members = [str(kind) for kind in rng.choice(CLASSES, rng.integers(2, 4))]
    else:
        members = [str(rng.choice(CLASSES)), *["thrombocyte"] * int(rng.integers(2, 5))]
    pixel = parameters.optics.pixel_size
    phase, truth = np.zeros(shape), np.zeros(shape, dtype=np.uint8)
    radii = np.array([1.4 if kind == "thrombocyte" else 5.4 for kind in members]) / pixel
    centres = _clump(radii, rng)
    centres -= np.average(centres, axis=0, weights=radii**2)
    for kind, centre in zip(members, centres, strict=True):
        place = (offset[0] + centre[0], offset[1] + centre[1])
        if kind == "thrombocyte":
            drawn = _thrombocyte(rng, parameters, donor, shape, place)
        else:
            drawn = render_cell(sample_cell(kind, rng, parameters, donor), parameters.optics, shape, place)
        phase += drawn[0]
        truth |= drawn[1]
    return phase, truth


def _clump(radii: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Return centres ``(N, 2)`` of discs that are laid, one after the other, against an earlier one."""
    centres = np.zeros((len(radii), 2))
    for index in range(1, len(radii)):
        tries = 30
        # platelets stick to the leukocyte if there is one, else to any member
        mates = np.zeros(tries, int) if radii[0] > 2 * radii[index] else rng.integers(index, size=tries)
        angle = rng.uniform(0, 2 * np.pi, tries)
        reach = rng.uniform(0.82, 0.98, tries) * (radii[mates] + radii[index])
        candidates = centres[mates] + reach[:, None] * np.stack([np.sin(angle), np.cos(angle)], axis=1)
        gaps = np.linalg.norm(candidates[:, None] - centres[None, :index], axis=-1) / (radii[:index] + radii[index])
        # the first place without much overlap, or the one with least
        room = gaps.min(axis=1)
        centres[index] = candidates[np.argmax(room > 0.8) if (room > 0.8).any() else np.argmax(room)]
    return centres


def _defocused(
    rng: np.random.Generator,
    parameters: PhantomParameters,
    donor: Donor,
    shape: tuple[int, int],
    offset: tuple[float, float],
) -> Drawing:
    """A leukocyte far above or below the focal plane, by propagation of its field."""
    optics = parameters.optics
    cell = sample_cell(str(rng.choice(CLASSES)), rng, parameters, donor)
    phase, truth = render_cell(cell, optics, shape, offset)
    distance = rng.uniform(*parameters.outliers.defocus_um) * rng.choice([-1, 1])
    seen = defocus(phase, distance, optics.wavelength, optics.pixel_size, optics.medium_index)
    return seen, truth


def _ruptured(
    rng: np.random.Generator,
    parameters: PhantomParameters,
    donor: Donor,
    shape: tuple[int, int],
    offset: tuple[float, float],
) -> Drawing:
    """A ghost: most of the cytoplasm has leaked out of a torn membrane; the nucleus is swollen and pale."""
    optics = parameters.optics
    cell = sample_cell(str(rng.choice(CLASSES)), rng, parameters, donor)
    swollen = cell.nucleus.copy()
    swollen[:, 3] *= rng.uniform(1.0, 1.25)
    left = rng.uniform(*parameters.outliers.cytoplasm_left)
    ghost = replace(
        cell,
        axial_ratio=cell.axial_ratio * rng.uniform(0.6, 0.9),
        outline=random_outline(rng, rng.uniform(0.05, 0.10), harmonics=9, decay=1.0, elongation=0.05),
        cytoplasm_index=cell.cytoplasm_index * left,
        nucleus=swollen,
        nucleus_index=cell.nucleus_index * rng.uniform(0.3, 0.9),
        granules=cell.granules[: int(len(cell.granules) * rng.uniform(0, 0.4))],
    )
    phase, truth = render_cell(ghost, optics, shape, offset)
    radius = cell.diameter_um / 2
    y, x = pixel_grid(shape, optics.pixel_size, offset)
    direction = rng.uniform(0, 2 * np.pi)
    tear_y, tear_x = radius * rng.uniform(0.75, 1.0) * np.array([np.sin(direction), np.cos(direction)])
    size = (radius * rng.uniform(0.35, 0.6), radius * rng.uniform(0.25, 0.45))
    tear = soft_ellipse(y - tear_y, x - tear_x, size, direction, edge=0.35)
    patches = np.clip(1 + 0.2 * gaussian_random_field(shape, 1.0 / optics.pixel_size, rng), 0, None)
    phase = phase * patches * (1 - 0.9 * tear)
    truth[tear > 0.5] = 0
    for _ in range(int(rng.integers(2, 7))):
        angle, distance = direction + rng.normal(0, 0.5), radius * rng.uniform(0.8, 1.35) / optics.pixel_size
        place = (offset[0] + distance * np.sin(angle), offset[1] + distance * np.cos(angle))
        phase += draw_debris(rng, optics, shape, place)
    return phase, truth


def _empty(
    rng: np.random.Generator,
    parameters: PhantomParameters,
    donor: Donor,  # noqa: ARG001 - all kinds are called alike
    shape: tuple[int, int],
    offset: tuple[float, float],
) -> Drawing:
    """Nothing, or a speck of debris."""
    phase = np.zeros(shape)
    if rng.uniform() < 0.4:
        place = (offset[0] + rng.uniform(-12, 12), offset[1] + rng.uniform(-12, 12))
        phase += draw_debris(rng, parameters.optics, shape, place)
    return phase, np.zeros(shape, dtype=np.uint8)
