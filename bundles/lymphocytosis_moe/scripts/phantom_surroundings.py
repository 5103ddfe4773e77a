"""What lies around the lymphocytes of phantom smears: red blood cells and platelets."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shared.phantoms.patches import add_patches, patch_offsets
from shared.phantoms.shapes import soft_edge
from shared.phantoms.staining import red_cell_thickness
from shared.phantoms.textures import gaussian_random_field

__all__ = ["render_platelets", "render_red_cells", "scatter_around"]

PLATELET_UM = (0.6, 1.3)

FloatArray = NDArray[np.float64]


def scatter_around(
    radius: FloatArray, field: float, pitch: float, gap: float, rng: np.random.Generator
) -> tuple[NDArray[np.int64], FloatArray]:
    """Scatter points over images, around a disc in the middle of each.

    The points are those of a hexagonal grid of random orientation and place, each moved at random and some left out;
    points that would lie on the disc are moved to its border, as red cells are pushed aside.

    Args:
        radius: of the disc in each image, µm, ``(N,)``.
        field: side of the image, µm.
        pitch: distance of neighbours in the grid, µm.
        gap: distance that points keep from the disc, µm.
        rng: source of randomness.

    Returns:
        Index of each point's image ``(P,)``, and row and column relative to the image's middle in µm, ``(P, 2)``.
    """
    number = len(radius)
    half = int(np.ceil((field / np.sqrt(2) + 2 * pitch) / (pitch * np.sqrt(3) / 2))) + 1
    i, j = np.meshgrid(np.arange(-half, half + 1), np.arange(-half, half + 1), indexing="ij")
    grid = pitch * np.stack([i * np.sqrt(3) / 2, j + 0.5 * (i % 2)], axis=-1).reshape(-1, 2)  # (K, 2)
    angle = rng.uniform(0, np.pi / 3, number)
    turn = np.stack([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]).transpose(2, 0, 1)
    points = grid @ turn + rng.uniform(-pitch, pitch, (number, 1, 2))  # (N, K, 2)
    points += rng.normal(0, 0.20 * pitch, points.shape)
    distance = np.maximum(np.linalg.norm(points, axis=-1), 1e-6)
    least = radius[:, None] + gap
    # what would lie deep inside is left out, or a ring of cells would crowd around the disc
    kept = (rng.uniform(size=distance.shape) < 0.88) & (distance > 0.55 * least)
    points *= (np.maximum(distance, least) / distance)[..., None]
    kept &= (np.abs(points) < field / 2 + pitch).all(axis=-1)
    image, which = np.nonzero(kept)
    return image, points[image, which]


def render_red_cells(
    cell_radius: FloatArray,
    centre: FloatArray,
    radius_of: FloatArray,
    pallor: float,
    pitch: float,
    shape: tuple[int, int],
    pixel: float,
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """Return the amount of red cells, ``(N, H, W)``.

    Cells that overlap in a dried smear squeeze each other: their amounts t add up to ``(Σ t³)^⅓``, which is little more
    than the thicker one's.

    Args:
        cell_radius: radius of the lymphocyte in each image, µm, ``(N,)``.
        centre: of the lymphocytes relative to the image's middle, µm, ``(N, 2)``.
        radius_of: radii of red cells to choose from, µm.
        pallor: depth of the central pallor, 0 to 1.
        pitch: mean distance between neighbours, µm.
        shape: ``(H, W)``.
        pixel: µm/px.
        rng: source of randomness.
    """
    image, place = scatter_around(cell_radius, pixel * max(shape), pitch, 0.86 * float(np.mean(radius_of)), rng)
    place = place + centre[image]
    number = len(image)

    def each(values: FloatArray) -> NDArray[np.float32]:
        """Return a property of each red cell with axes for the rows and columns of its patch."""
        return values.astype(np.float32)[:, None, None]

    radius = each(rng.choice(radius_of, number))
    stretch = each(np.sqrt(1 + np.abs(rng.normal(0, 0.12, number))))  # makes it oval
    angle = rng.uniform(0, np.pi, number)
    cosine, sine = each(np.cos(angle)), each(np.sin(angle))
    pallors = each(np.clip(rng.normal(pallor, 0.15, number), 0, 1))
    rows, columns = (place[:, axis] / pixel + (shape[axis] - 1) / 2 for axis in (0, 1))
    offsets = patch_offsets(rows, columns, int(np.ceil(1.35 * float(np.max(radius_of)) / pixel)))
    dy, dx = (offset.astype(np.float32) for offset in offsets)
    rho = np.hypot((dx * cosine + dy * sine) / stretch, (dy * cosine - dx * sine) * stretch) * (pixel / radius)
    # dried on glass, the disc ends in a rim and not in the edge of a lens
    cover = soft_edge((rho - 1) * radius, 0.4 * pixel)
    thickness = red_cell_thickness(0.93 * np.minimum(rho, 1), pallors) * cover
    thickness *= each(rng.normal(1, 0.06, number))
    amount = np.zeros((len(cell_radius), *shape), np.float32)
    add_patches(amount, image, rows, columns, thickness**3)
    return np.cbrt(amount)


def render_platelets(
    number: int, mean: float, keep_from: FloatArray, shape: tuple[int, int], pixel: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Return the amount of platelets, ``(N, H, W)``: small granular bodies in random places off the lymphocyte.

    Args:
        number: of images, N.
        mean: number of platelets in an image.
        keep_from: distance that they keep from the image's middle, µm, ``(N,)``.
        shape: ``(H, W)``.
        pixel: µm/px.
        rng: source of randomness.
    """
    image = np.repeat(np.arange(number), rng.poisson(mean, number))
    place = rng.uniform(-0.5, 0.5, (len(image), 2)) * np.array(shape) * pixel
    away = np.linalg.norm(place, axis=1) > keep_from[image] + PLATELET_UM[1]
    image, place = image[away], place[away]
    radius = rng.uniform(*PLATELET_UM, len(image))
    rows, columns = (place[:, axis] / pixel + (shape[axis] - 1) / 2 for axis in (0, 1))
    dy, dx = patch_offsets(rows, columns, int(np.ceil(1.6 * PLATELET_UM[1] / pixel)))
    beyond = (np.hypot(dy, dx) * pixel) - radius[:, None, None]
    amount = np.zeros((number, *shape), np.float32)
    add_patches(amount, image, rows, columns, soft_edge(beyond, 0.22))
    texture = 1 + 0.35 * np.tanh(gaussian_random_field((number, *shape), 0.35 / pixel, rng))
    return (amount * texture).astype(np.float32)
