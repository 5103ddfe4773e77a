"""Model of one leukocyte: drawn once as a :class:`Cell`, then seen by the microscope.

Sampling and seeing are apart, so that one property (the nucleus, say, which is the cause of the class) can be exchanged
with ``dataclasses.replace`` while everything else stays as it was.

What makes a cell of its class, and is marked as *cause* in the truth image:

========== ===============================================
class      cause
========== ===============================================
monocyte   the kidney-shaped nucleus
lymphocyte the round nucleus, which nearly fills the cell
neutrophil the lobes of the nucleus
eosinophil the coarse granules
========== ===============================================
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scripts.phantom_parameters import CellType, MarkParameters, Optics, PhantomParameters
from shared.phantoms.bodies import (
    arc_chain,
    inside_spheres,
    lobed_chain,
    rotate_spheres,
    sphere_union_thickness,
    tumble,
)
from shared.phantoms.masks import TruthBits
from shared.phantoms.optics import blur, path_to_phase
from shared.phantoms.shapes import pixel_grid, random_outline, star_body
from shared.phantoms.textures import gaussian_random_field, render_granules, scatter_in_ball

__all__ = [
    "CAUSE",
    "CLASSES",
    "TRUTH",
    "Cell",
    "Donor",
    "Mark",
    "donor_of",
    "draw_granules",
    "draw_nucleus",
    "render_cell",
    "sample_cell",
    "sample_mark",
]

CLASSES = ("monocyte", "lymphocyte", "neutrophil", "eosinophil")
TRUTH = TruthBits(("cell", "nucleus", "granules", "cause", "distractor", "shortcut"))
CAUSE = {"monocyte": "nucleus", "lymphocyte": "nucleus", "neutrophil": "nucleus", "eosinophil": "granules"}

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Donor:
    """Relative factors that all cells and frames of one donor share; 1 for the average donor."""

    size: float = 1.0
    index: float = 1.0
    noise: float = 1.0
    granularity: float = 1.0


@dataclass(frozen=True)
class Mark:
    """A bead on a cell: ``role`` is ``distractor`` or ``shortcut``; position in units of the cell's radius."""

    role: str
    x: float
    y: float
    radius_um: float
    index: float


@dataclass(frozen=True)
class Cell:
    """One leukocyte with all its properties fixed.

    Args:
        kind: its class.
        diameter_um: µm.
        axial_ratio: extent along the light's path relative to the diameter.
        outline: Fourier coefficients of the outline, ``(M, 2)``.
        cytoplasm_index: cytoplasm minus medium.
        nucleus: spheres ``(K, 4)`` in units of the cell's radius.
        nucleus_index: nucleus minus cytoplasm.
        chromatin_contrast: relative standard deviation of the nucleus' index.
        cytoplasm_contrast: relative standard deviation of the cytoplasm's index.
        granules: spheres ``(G, 4)`` in units of the cell's radius.
        granule_index: granules minus cytoplasm.
        blur_um: standard deviation of the point spread function, µm.
        texture_seed: of the textures of nucleus and cytoplasm.
        mark: a bead, or None.
    """

    kind: str
    diameter_um: float
    axial_ratio: float
    outline: FloatArray
    cytoplasm_index: float
    nucleus: FloatArray
    nucleus_index: float
    chromatin_contrast: float
    cytoplasm_contrast: float
    granules: FloatArray
    granule_index: float
    blur_um: float
    texture_seed: int
    mark: Mark | None = None


def donor_of(rng: np.random.Generator, parameters: PhantomParameters) -> Donor:
    """Draw a donor."""
    spread = parameters.donor
    factor = np.exp(rng.standard_normal(4) * [spread.size, spread.index, spread.noise, spread.granularity])
    return Donor(*factor.tolist())


def draw_nucleus(lobes: int, rng: np.random.Generator, tilt: float) -> FloatArray:
    """Draw a nucleus.

    Args:
        lobes: 0 for a kidney, 1 for a round nucleus, else the number of lobes.
        rng: source of randomness.
        tilt: largest tilt out of the image plane, radians.

    Returns:
        Spheres ``(K, 4)`` within the unit ball.
    """
    if lobes == 0:
        taper = 1 - 0.22 * np.sin(np.linspace(0, np.pi, 9)) * rng.uniform(0.2, 1.0)
        spheres = arc_chain(rng.uniform(0.36, 0.46), np.deg2rad(rng.uniform(130, 215)), rng.uniform(0.33, 0.41) * taper)
    elif lobes == 1:
        # a few overlapping spheres: ovoid or slightly indented, as real ones are
        size = rng.uniform(0.68, 0.80)
        centres = rng.standard_normal((4, 3)) * [0.07, 0.07, 0.05]
        spheres = np.column_stack([centres, size * rng.uniform(0.92, 1.0, 4)])
    else:
        size = {2: 0.37, 3: 0.315, 4: 0.275}.get(lobes, 0.25)
        spheres = lobed_chain(
            rng,
            size * rng.uniform(0.85, 1.15, lobes),
            arc_radius=rng.uniform(0.42, 0.52),
            gap=rng.uniform(0.02, 0.30),
        )
    spheres[:, :2] += rng.standard_normal(2) * 0.05
    spheres = rotate_spheres(spheres, tumble(rng, tilt))
    # whatever sticks out of the cell shrinks back into it
    reach = (np.linalg.norm(spheres[:, :3], axis=1) + spheres[:, 3]).max()
    return spheres * min(1.0, 0.95 / reach)


def draw_granules(count: int, radius: float, nucleus: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Draw granules in the cytoplasm: spheres ``(G, 4)`` in the unit ball, apart from each other and the nucleus.

    Args:
        count: number of granules, before those that find no room are left out.
        radius: mean radius in units of the cell's.
        nucleus: spheres ``(K, 4)``; no granule's centre lies in it.
        rng: source of randomness.
    """
    # large granules keep apart; small ones may lie anywhere
    points = scatter_in_ball(rng, 2 * count, separation=1.6 * radius if radius > 0.05 else 0.0, batch=2)
    points *= 0.96 - radius
    points = points[~inside_spheres(points, nucleus)][:count]
    return np.column_stack([points, radius * np.clip(rng.normal(1, 0.2, len(points)), 0.5, 1.6)])


def sample_cell(kind: str, rng: np.random.Generator, parameters: PhantomParameters, donor: Donor | None = None) -> Cell:
    """Draw a leukocyte.

    Body, nucleus, granules and textures have random streams of their own: changing the parameters of one leaves the
    others as they were.

    Raises:
        ValueError: if ``kind`` is no cell type of the parameters.
    """
    if kind not in parameters.cells:
        raise ValueError(f"no cell type is called '{kind}'; choose one of {sorted(parameters.cells)}")
    cell_type, donor = parameters.cells[kind], donor or Donor()
    body, inner, grains, texture = rng.spawn(4)
    low, high = cell_type.diameter_um.low, cell_type.diameter_um.high
    diameter = float(np.clip(cell_type.diameter_um.draw(body) * donor.size, low, high))
    nucleus = draw_nucleus(_draw_lobes(cell_type, inner), inner, np.deg2rad(cell_type.tilt_deg))
    granule_radius = cell_type.granule_radius_um.draw(grains) / (diameter / 2)
    left = 0.25 if grains.uniform() < cell_type.degranulated else 1.0
    count = round(cell_type.granules.draw(grains) * donor.granularity * left)
    optics = parameters.optics
    return Cell(
        kind=kind,
        diameter_um=diameter,
        axial_ratio=cell_type.axial_ratio.draw(body),
        outline=random_outline(body, cell_type.roughness, elongation=cell_type.elongation),
        cytoplasm_index=cell_type.cytoplasm_index.draw(body) * donor.index,
        nucleus=nucleus,
        nucleus_index=cell_type.nucleus_index.draw(inner) * donor.index,
        chromatin_contrast=cell_type.chromatin_contrast,
        cytoplasm_contrast=cell_type.cytoplasm_contrast,
        granules=draw_granules(count, granule_radius, nucleus, grains),
        granule_index=cell_type.granule_index.draw(grains) * donor.index,
        blur_um=float(np.hypot(optics.resolution, abs(texture.normal(0, optics.focus_spread)))),
        texture_seed=int(texture.integers(2**31)),
    )


def _draw_lobes(cell_type: CellType, rng: np.random.Generator) -> int:
    share = np.array(list(cell_type.lobes.values()), float)
    return int(rng.choice(list(cell_type.lobes), p=share / share.sum()))


def sample_mark(kind: str, variant: str, rng: np.random.Generator, parameters: MarkParameters) -> Mark | None:
    """Draw whether a cell carries the mark of a variant, and which.

    Args:
        kind: class of the cell.
        variant: ``plain`` (never), ``distractor`` (whatever the class) or ``shortcut`` (mostly one class).
        rng: source of randomness.
        parameters: of the mark.

    Raises:
        ValueError: if the variant is unknown.
    """
    rates = {
        "plain": 0.0,
        "distractor": parameters.distractor_rate,
        "shortcut": parameters.shortcut_rate if kind == parameters.shortcut_class else parameters.shortcut_leak,
    }
    if variant not in rates:
        raise ValueError(f"no phantom variant is called '{variant}'; choose one of {sorted(rates)}")
    if rng.uniform() >= rates[variant]:
        return None
    angle, distance = rng.uniform(0, 2 * np.pi), parameters.distance.draw(rng)
    return Mark(
        role=variant,
        x=float(distance * np.cos(angle)),
        y=float(distance * np.sin(angle)),
        radius_um=parameters.radius_um.draw(rng),
        index=parameters.index.draw(rng),
    )


def render_cell(
    cell: Cell, optics: Optics, shape: tuple[int, int] = (50, 50), offset: tuple[float, float] = (0.0, 0.0)
) -> tuple[FloatArray, NDArray[np.uint8]]:
    """Return the phase of a cell in focus, without noise, and its truth image.

    The optical path difference is the sum, over cytoplasm, nucleus and granules, of thickness times index difference;
    the nucleus and the granules are flattened like the cell, and nothing reaches beyond its outline.

    Args:
        cell: the cell.
        optics: the microscope.
        shape: ``(H, W)``.
        offset: rows and columns by which the cell lies off the middle of the image, in pixels.

    Returns:
        Phase in radians and truth bits, each ``(H, W)``.
    """
    radius, pixel = cell.diameter_um / 2, optics.pixel_size
    y, x = pixel_grid(shape, pixel, offset)
    texture = np.random.default_rng(cell.texture_seed)
    body = star_body(y, x, radius, cell.outline, cell.axial_ratio)
    inside = body > 0
    nucleus = np.minimum(cell.axial_ratio * radius * sphere_union_thickness(y / radius, x / radius, cell.nucleus), body)
    chromatin = 1 + cell.chromatin_contrast * gaussian_random_field(shape, 0.55 / pixel, texture)
    cytoplasm = 1 + cell.cytoplasm_contrast * gaussian_random_field(shape, 0.8 / pixel, texture)
    middle = [(n - 1) / 2 + o for n, o in zip(shape, offset, strict=True)]
    scale = radius / pixel
    grains, covered = render_granules(
        shape,
        middle[0] + cell.granules[:, 1] * scale,
        middle[1] + cell.granules[:, 0] * scale,
        cell.granules[:, 3] * scale,
    )
    path = cell.cytoplasm_index * body * cytoplasm + cell.nucleus_index * nucleus * chromatin
    path += cell.granule_index * grains * pixel * inside
    masks: dict[str, Any] = {"cell": inside, "nucleus": nucleus > 0, "granules": covered & inside}
    masks["cause"] = masks[CAUSE[cell.kind]]
    if cell.mark is not None:
        mark = cell.mark
        bead = star_body(y - mark.y * radius, x - mark.x * radius, mark.radius_um, np.empty((0, 2)))
        path += mark.index * bead
        masks[mark.role] = bead > 0
    return path_to_phase(blur(path, cell.blur_um, pixel), optics.wavelength), TRUTH.encode(masks)
