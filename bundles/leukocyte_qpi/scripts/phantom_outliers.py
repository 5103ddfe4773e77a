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
    """A single thrombocyte."""
    radius = rng.uniform(*parameters.outliers.thrombocyte_um) / 2
    return _draw_thrombocyte(radius, rng, parameters, donor, shape, offset)


def _draw_thrombocyte(
    radius: float,
    rng: np.random.Generator,
    parameters: PhantomParameters,
    donor: Donor,
    shape: tuple[int, int],
    offset: tuple[float, float],
) -> Drawing:
    """A small disc of ``radius`` µm seen at any angle, with a denser granular middle."""
    optics = parameters.optics
    y, x = pixel_grid(shape, optics.pixel_size, offset)
    body = star_body(y, x, radius, random_outline(rng, 0.06, elongation=rng.uniform(0, 0.15)), rng.uniform(0.45, 0.8))
    core = star_body(y, x, 0.5 * radius, random_outline(rng, 0.1), 0.6)
    index = rng.uniform(*parameters.outliers.thrombocyte_index)
    path = (index * body + rng.uniform(0.01, 0.03) * core) * donor.index
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
    outliers, optics = parameters.outliers, parameters.optics
    share = np.array(outliers.aggregates)
    leukocytes, thrombocytes = [
        (0, int(rng.integers(3, 8))),
        (int(rng.integers(2, 4)), 0),
        (1, int(rng.integers(2, 5))),
    ][rng.choice(3, p=share / share.sum())]
    cells = [sample_cell(str(kind), rng, parameters, donor) for kind in rng.choice(CLASSES, leukocytes)]
    small = rng.uniform(*outliers.thrombocyte_um, thrombocytes) / 2
    radii = np.array([*(cell.diameter_um / 2 for cell in cells), *small])  # µm
    centres = _clump(radii, rng, around_first=leukocytes == 1)
    centres -= np.average(centres, axis=0, weights=radii**2)
    places = [(offset[0] + row, offset[1] + column) for row, column in centres / optics.pixel_size]
    drawings = [render_cell(cell, optics, shape, place) for cell, place in zip(cells, places, strict=False)]
    drawings += [
        _draw_thrombocyte(radius, rng, parameters, donor, shape, place)
        for radius, place in zip(small, places[leukocytes:], strict=True)
    ]
    return np.sum([phase for phase, _ in drawings], axis=0), np.bitwise_or.reduce([truth for _, truth in drawings])


def _clump(radii: FloatArray, rng: np.random.Generator, around_first: bool) -> FloatArray:
    """Return centres ``(N, 2)`` of discs that are laid, one after the other, against the first or any earlier one."""
    centres, tries = np.zeros((len(radii), 2)), 30
    for index in range(1, len(radii)):
        mates = rng.integers(1 if around_first else index, size=tries)
        angle = rng.uniform(0, 2 * np.pi, tries)
        reach = rng.uniform(0.76, 0.92, tries) * (radii[mates] + radii[index])
        candidates = centres[mates] + reach[:, None] * np.stack([np.sin(angle), np.cos(angle)], axis=1)
        gaps = np.linalg.norm(candidates[:, None] - centres[None, :index], axis=-1) / (radii[:index] + radii[index])
        # the first place without much overlap, or the one with least
        room = gaps.min(axis=1)
        centres[index] = candidates[np.argmax(room > 0.75) if (room > 0.75).any() else np.argmax(room)]
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
