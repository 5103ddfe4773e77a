"""Phantom lymphocytes as images ``(N, H, W)``: amounts of stain and truth masks. Lengths are in µm."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scripts.phantom_cells import ABNORMAL, GRANULAR, TRUTH, Lymphocytes
from scripts.phantom_parameters import PhantomParameters
from shared.phantoms.patches import add_patches, patch_offsets
from shared.phantoms.shapes import pixel_grid, soft_edge, star_radius
from shared.phantoms.textures import gaussian_random_field

__all__ = ["LymphocyteStain", "render_lymphocytes"]

NUCLEOLUS_UM = (0.62, 0.95)
GRANULE_UM = (0.20, 0.34)

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class LymphocyteStain:
    """Rendered lymphocytes.

    Args:
        nucleus: amount of nuclear stain, ``(N, H, W)``.
        cytoplasm: amount of cytoplasmic stain.
        granules: amount of granule stain.
        body: share of a pixel that the cell covers.
        truth: truth bits as :data:`scripts.phantom_cells.TRUTH` names them, uint8.
    """

    nucleus: NDArray[np.float32]
    cytoplasm: NDArray[np.float32]
    granules: NDArray[np.float32]
    body: NDArray[np.float32]
    truth: NDArray[np.uint8]


def render_lymphocytes(
    cells: Lymphocytes, shape: tuple[int, int], rng: np.random.Generator, parameters: PhantomParameters
) -> LymphocyteStain:
    """Draw lymphocytes, one in each image.

    Args:
        cells: their properties.
        shape: ``(H, W)``.
        rng: source of the textures and of the places of nucleoli and granules.
        parameters: of the phantoms.
    """
    pixel = parameters.microscope.field_um / shape[0]
    edge = max(parameters.microscope.edge_um, 0.3 * pixel)
    cell, _ = _star(cells.centre, cells.cell_radius, cells.cell_outline, shape, pixel, edge)
    nucleus_centre = cells.centre + cells.nucleus_shift
    nucleus, rho = _star(nucleus_centre, cells.nucleus_radius, cells.nucleus_outline, shape, pixel, edge)
    nucleus *= cell  # a nucleus lies in its cell
    nucleolus, pale = _nucleoli(cells, nucleus_centre, shape, pixel, edge, rng)
    pale *= _column(cells.paleness)
    nucleus_stain = nucleus * _chromatin(cells, rho, shape, pixel, rng, parameters) * (1 - 0.62 * pale)

    halo = soft_edge((rho - 1.12) * _column(cells.nucleus_radius), 0.3).astype(np.float32)
    rim = 1 - soft_edge(_inset(cell, edge), 0.25)
    cytoplasm = (cell - nucleus) * _column(cells.basophilia) * (0.85 - 0.30 * halo + 0.75 * rim)
    cytoplasm *= 1 + 0.12 * gaussian_random_field((len(cells.kind), *shape), 0.7 / pixel, rng)
    cytoplasm += 0.35 * nucleus * np.maximum(pale, 0)  # a nucleolus is blue

    core = (cell > 0.97) & (nucleus < 0.03)
    granules, covered = _granules(cells, core, shape, pixel, edge, rng)
    masks = {
        "cell": cell > 0.5,
        "nucleus": nucleus > 0.5,
        "nucleolus": (nucleolus > 0.5) & (nucleus > 0.5),
        "granules": covered & (cell > 0.5) & (nucleus <= 0.5),
    }
    abnormal, granular = (cells.kind[:, None, None] == kind for kind in (ABNORMAL, GRANULAR))
    masks["cause"] = (masks["nucleus"] & abnormal) | (masks["granules"] & granular)
    return LymphocyteStain(
        nucleus=nucleus_stain.astype(np.float32),
        cytoplasm=np.maximum(cytoplasm, 0).astype(np.float32),
        granules=granules * _column(cells.granule_stain),
        body=cell,
        truth=TRUTH.encode(masks),
    )


def _star(
    centre: FloatArray,
    radius: FloatArray,
    outline: FloatArray,
    shape: tuple[int, int],
    pixel: float,
    edge: float,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return soft-edged star-convex bodies and the distance from their centres relative to the outline."""
    y, x = pixel_grid(shape, pixel)
    dy, dx = y - centre[:, 0, None, None], x - centre[:, 1, None, None]
    distance = np.hypot(dy, dx)
    outer = _column(radius) * star_radius(np.arctan2(dy, dx), outline[..., None, None])
    return soft_edge(distance - outer, edge).astype(np.float32), (distance / outer).astype(np.float32)


def _chromatin(
    cells: Lymphocytes,
    rho: NDArray[np.float32],
    shape: tuple[int, int],
    pixel: float,
    rng: np.random.Generator,
    parameters: PhantomParameters,
) -> FloatArray:
    """Return the amount of nuclear stain: clumps that are coarse or fine, a darker membrane."""
    lengths = [described.chromatin_um for described in parameters.kinds.values()]
    whole = (len(cells.kind), *shape)
    fine, coarse = (gaussian_random_field(whole, length / pixel, rng) for length in (min(lengths), max(lengths)))
    share = _column(cells.coarse)
    clumps = np.tanh((1 - share) * fine + share * coarse)
    membrane = np.exp(-(((rho - 0.93) / 0.09) ** 2))
    return _column(cells.darkness) * (1 + _column(cells.contrast) * (1.7 * clumps + 0.9 * membrane))


def _nucleoli(
    cells: Lymphocytes,
    centre: FloatArray,
    shape: tuple[int, int],
    pixel: float,
    edge: float,
    rng: np.random.Generator,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the cover of the nucleoli and their paleness, negative in the dark ring of chromatin around each."""
    image = np.repeat(np.arange(len(cells.kind)), cells.nucleoli)
    number = len(image)
    first = np.concatenate([[0], np.cumsum(cells.nucleoli)[:-1]])
    order = np.arange(number) - first[image]
    # several in one nucleus lie on different sides
    turn = rng.uniform(0, 2 * np.pi, len(cells.kind))[image] + 2 * np.pi * order / np.maximum(cells.nucleoli[image], 1)
    angle = turn + rng.uniform(-0.5, 0.5, number)
    reach = cells.nucleus_radius[image] * np.where(
        cells.nucleoli[image] > 1, rng.uniform(0.38, 0.58, number), rng.uniform(0.0, 0.45, number)
    )
    radius = rng.uniform(*NUCLEOLUS_UM, number) * cells.nucleus_radius[image] / 4.5
    rows, columns = _pixels(
        centre[image] + reach[:, None] * np.stack([np.sin(angle), np.cos(angle)], axis=1), shape, pixel
    )
    dy, dx = patch_offsets(rows, columns, int(np.ceil(2.2 * NUCLEOLUS_UM[1] / pixel)) + 1)
    beyond = np.hypot(dy, dx) * pixel - radius[:, None, None]
    disc = soft_edge(beyond, edge)
    ring = np.exp(-(((beyond - 0.35) / 0.28) ** 2))
    cover, pale = np.zeros((2, len(cells.kind), *shape), np.float32)
    add_patches(cover, image, rows, columns, disc)
    add_patches(pale, image, rows, columns, disc - 0.25 * ring)
    return cover, np.minimum(pale, 1)


def _granules(
    cells: Lymphocytes,
    core: NDArray[np.bool_],
    shape: tuple[int, int],
    pixel: float,
    edge: float,
    rng: np.random.Generator,
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return the amount of granule stain and the pixels that granules cover; they lie in the core of the cytoplasm."""
    amount = np.zeros((len(cells.kind), *shape), np.float32)
    most = int(cells.granules.max(initial=0))
    if most == 0:
        return amount, amount > 0
    # the pixels of the core with the smallest of random keys are a random choice without repetition
    keys = np.where(core, rng.random(core.shape, dtype=np.float32), np.float32(2)).reshape(len(core), -1)
    chosen = np.argpartition(keys, most, axis=1)[:, :most]
    chosen = np.take_along_axis(chosen, np.take_along_axis(keys, chosen, axis=1).argsort(axis=1), axis=1)
    wanted = np.arange(most) < cells.granules[:, None]
    image, slot = np.nonzero(wanted & (np.take_along_axis(keys, chosen, axis=1) < 1))
    place = chosen[image, slot]
    rows = place // shape[1] + rng.uniform(-0.4, 0.4, len(place))
    columns = place % shape[1] + rng.uniform(-0.4, 0.4, len(place))
    radius = rng.uniform(*GRANULE_UM, len(place))
    dy, dx = patch_offsets(rows, columns, int(np.ceil(2 * GRANULE_UM[1] / pixel)) + 1)
    beyond = np.hypot(dy, dx) * pixel - radius[:, None, None]
    add_patches(amount, image, rows, columns, soft_edge(beyond, edge))
    covered = np.zeros_like(amount)
    add_patches(covered, image, rows, columns, (beyond <= 0.35 * pixel).astype(np.float32))
    return np.minimum(amount, 1.3), covered > 0


def _inset(cell: NDArray[np.float32], edge: float) -> NDArray[np.float32]:
    """Return a distance that grows from the cell's outline outwards, as far as its soft edge tells it."""
    return edge * (0.9 - cell) * 8


def _pixels(position: FloatArray, shape: tuple[int, int], pixel: float) -> tuple[FloatArray, FloatArray]:
    """Return rows and columns of positions in µm relative to the middle of the image."""
    return position[:, 0] / pixel + (shape[0] - 1) / 2, position[:, 1] / pixel + (shape[1] - 1) / 2


def _column(values: FloatArray) -> NDArray[np.float32]:
    """Return a property of each cell with axes for the image's rows and columns."""
    return values.astype(np.float32)[:, None, None]
