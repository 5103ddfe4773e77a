"""Tissues as periodic textures of the two stains, seen through a microscope: what slides are laid out with."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from shared.phantoms.patches import add_patches, patch_offsets
from shared.phantoms.textures import gaussian_random_field

__all__ = ["TISSUES", "noise_texture", "tissue_textures"]

FloatArray = NDArray[np.float64]
Texture = NDArray[np.float32]

TISSUES = ("lymphoid", "germinal", "sinus", "stroma", "fat", "tumour")

#: side of the periodic textures, pixels
PERIOD_PX = 1024

#: nuclei that are drawn at once
_BATCH = 2000


@lru_cache(maxsize=2)
def tissue_textures(mpp: float, seed: int) -> dict[str, Texture]:
    """Return the amounts of haematoxylin and eosin of each tissue, ``(2, S, S)``, periodic.

    Sizes are those of histology textbooks: lymphocytes of 6 to 7 µm in diameter packed closely, the larger, paler
    cells of germinal centres, reticular sinuses, collagen with spindle nuclei, fat cells of 50 to 90 µm, and carcinoma
    with pleomorphic, vesicular nuclei of 10 to 16 µm with nucleoli, ample cytoplasm.

    Args:
        mpp: µm per pixel.
        seed: of everything.
    """
    draw = {
        "lymphoid": _lymphoid,
        "germinal": _germinal,
        "sinus": _sinus,
        "stroma": _stroma,
        "fat": _fat,
        "tumour": _tumour,
    }
    return {
        name: _constant(np.stack(draw[name](np.random.default_rng([seed, number]), mpp)).astype(np.float32))
        for number, name in enumerate(TISSUES)
    }


@lru_cache(maxsize=2)
def noise_texture(seed: int, strength: float) -> Texture:
    """Return normal noise of three channels, ``(3, S, S)``, a little blurred as by a Bayer sensor.

    Args:
        seed: of everything.
        strength: standard deviation.
    """
    white = np.random.default_rng([seed, len(TISSUES)]).standard_normal((PERIOD_PX, PERIOD_PX, 3), dtype=np.float32)
    blurred = white + 0.5 * (np.roll(white, 1, axis=0) + np.roll(white, 1, axis=1))
    noise = strength * np.asarray(blurred / np.sqrt(1.5), dtype=np.float32)
    return _constant(np.ascontiguousarray(noise.transpose(2, 0, 1)))


def _constant(texture: Texture) -> Texture:
    """Return a texture that nobody can write to, since all share it."""
    texture.setflags(write=False)
    return texture


def _field(rng: np.random.Generator, length_um: float, mpp: float) -> FloatArray:
    """Draw a periodic Gaussian random field of a correlation length."""
    return gaussian_random_field((PERIOD_PX, PERIOD_PX), max(0.5, length_um / mpp), rng)


def _lattice(rng: np.random.Generator, mpp: float, spacing: float, jitter: float, keep: float = 1.0) -> FloatArray:
    """Scatter points over the period on a loosened hexagonal lattice, ``(G, 2)`` as row, column in pixels."""
    side = PERIOD_PX * mpp
    columns, rows = max(1, round(side / spacing)), 2 * max(1, round(side / spacing / 1.732))
    row, column = np.divmod(np.arange(rows * columns), columns)
    points = np.stack([(row + 0.5) / rows, (column + 0.5 * (row % 2)) / columns], axis=1) * PERIOD_PX
    points += rng.standard_normal(points.shape) * jitter * spacing / mpp
    return points[rng.uniform(size=len(points)) < keep] % PERIOD_PX


def _nuclei(
    rng: np.random.Generator,
    points: FloatArray,
    mpp: float,
    radius: tuple[float, float],
    elongation: tuple[float, float],
    amount: tuple[float, float],
    vesicular: float,
    angle: FloatArray | None = None,
) -> FloatArray:
    """Draw elliptic nuclei, ``(S, S)``.

    Args:
        rng: source of randomness.
        points: centres as row, column in pixels, ``(G, 2)``.
        mpp: µm per pixel.
        radius: least and greatest mean radius, µm.
        elongation: least and greatest ratio of the axes.
        amount: mean and relative standard deviation of the stain.
        vesicular: how much paler the middle of a nucleus is than its rim.
        angle: of the long axes, ``(G,)``; random if None.
    """
    number = len(points)
    mean = rng.uniform(*radius, number) / mpp
    ratio = np.sqrt(rng.uniform(*elongation, number))
    long, short = mean * ratio, mean / ratio
    angle = rng.uniform(0, np.pi, number) if angle is None else angle
    stain = amount[0] * np.exp(amount[1] * rng.standard_normal(number))
    reach = int(np.ceil(long.max() + 1.5))
    padded = np.zeros((1, PERIOD_PX + 2 * reach, PERIOD_PX + 2 * reach))
    for start in range(0, number, _BATCH):
        part = slice(start, start + _BATCH)
        rows, columns = points[part, 0] + reach, points[part, 1] + reach
        dy, dx = patch_offsets(rows, columns, reach)
        cosine, sine = np.cos(angle[part])[:, None, None], np.sin(angle[part])[:, None, None]
        along = (dx * cosine + dy * sine) / long[part, None, None]
        across = (dy * cosine - dx * sine) / short[part, None, None]
        square = along**2 + across**2
        edge = np.clip((1 - np.sqrt(square)) * short[part, None, None] / 1.2 + 0.5, 0, 1)
        patches = stain[part, None, None] * edge * (1 - vesicular * np.clip(1 - square, 0, 1))
        add_patches(padded, np.zeros(len(rows), dtype=np.int64), rows, columns, patches)
    return _folded(padded[0], reach)


def _folded(padded: FloatArray, reach: int) -> FloatArray:
    """Add the margins of a padded canvas to its opposite sides."""
    for axis in (0, 1):
        middle = np.take(padded, np.arange(reach, reach + PERIOD_PX), axis=axis)
        before = np.take(padded, np.arange(reach), axis=axis)
        after = np.take(padded, np.arange(reach + PERIOD_PX, 2 * reach + PERIOD_PX), axis=axis)
        head, tail = [slice(None)] * 2, [slice(None)] * 2
        head[axis], tail[axis] = slice(0, reach), slice(PERIOD_PX - reach, PERIOD_PX)
        middle[tuple(tail)] += before
        middle[tuple(head)] += after
        padded = middle
    return padded


def _lymphoid(rng: np.random.Generator, mpp: float) -> tuple[FloatArray, FloatArray]:
    nuclei = _nuclei(
        rng, _lattice(rng, mpp, 7.0, 0.17, 0.95), mpp, (2.7, 3.4), (1.0, 1.35), (1.15, 0.18), vesicular=0.15
    )
    chromatin = 1 + 0.18 * _field(rng, 0.7, mpp)
    cytoplasm = 0.30 + 0.07 * _field(rng, 2.5, mpp) + 0.04 * _field(rng, 25, mpp)
    return np.clip(nuclei, 0, 1.6) * chromatin + 0.05, np.clip(cytoplasm, 0.05, None)


def _germinal(rng: np.random.Generator, mpp: float) -> tuple[FloatArray, FloatArray]:
    nuclei = _nuclei(rng, _lattice(rng, mpp, 9.8, 0.2, 0.9), mpp, (3.4, 4.7), (1.0, 1.5), (0.72, 0.22), vesicular=0.35)
    chromatin = 1 + 0.2 * _field(rng, 0.9, mpp)
    cytoplasm = 0.36 + 0.08 * _field(rng, 3, mpp)
    # macrophages: pale gaps with a starry-sky look
    gaps = _nuclei(rng, _lattice(rng, mpp, 75, 0.3, 0.8), mpp, (8, 12), (1.0, 1.4), (0.8, 0.1), vesicular=0.0)
    pale = 1 - np.clip(gaps, 0, 0.75)
    return (np.clip(nuclei, 0, 1.4) * chromatin + 0.04) * pale, np.clip(cytoplasm, 0.1, None) * (0.4 + 0.6 * pale)


def _sinus(rng: np.random.Generator, mpp: float) -> tuple[FloatArray, FloatArray]:
    nuclei = _nuclei(
        rng, _lattice(rng, mpp, 12.5, 0.3, 0.55), mpp, (2.7, 4.2), (1.0, 1.9), (0.85, 0.25), vesicular=0.25
    )
    fibres = np.clip(1 - np.abs(_field(rng, 4.5, mpp)) / 0.22, 0, 1)
    cytoplasm = 0.04 + 0.42 * fibres + 0.25 * np.clip(_nuclei_halo(nuclei), 0, 1)
    return np.clip(nuclei, 0, 1.3), cytoplasm


def _nuclei_halo(nuclei: FloatArray) -> FloatArray:
    """Return a thin shell of cytoplasm around nuclei."""
    return np.sum([np.roll(nuclei, shift, axis) for axis in (0, 1) for shift in (-3, 3)], axis=0) / 2


def _stroma(rng: np.random.Generator, mpp: float) -> tuple[FloatArray, FloatArray]:
    rows = np.arange(PERIOD_PX)[:, None] * mpp
    side = PERIOD_PX * mpp
    wave = 7.0 * _field(rng, 30, mpp) + 2.0 * _field(rng, 6, mpp)
    fibres = 0.0 * wave
    for period, weight in ((9.0, 0.5), (4.3, 0.35), (2.4, 0.2)):
        # whole waves per period, or the texture would not close
        turns = max(1, round(side / period))
        fibres += weight * np.sin(2 * np.pi * turns * (rows + wave) / side)
    gaps = np.clip((fibres - 0.62) / 0.2, 0, 1)
    eosin = np.clip(0.78 + 0.28 * fibres + 0.12 * _field(rng, 12, mpp), 0.1, None) * (1 - 0.85 * gaps)
    points = _lattice(rng, mpp, 19.0, 0.3, 0.6)
    nuclei = _nuclei(
        rng, points, mpp, (2.2, 2.9), (3.0, 6.0), (0.95, 0.2), 0.1, angle=0.25 * rng.standard_normal(len(points))
    )
    return np.clip(nuclei, 0, 1.3) + 0.03, eosin


def _fat(rng: np.random.Generator, mpp: float) -> tuple[FloatArray, FloatArray]:
    points = _lattice(rng, mpp, 68.0, 0.17)
    tree = cKDTree(points, boxsize=PERIOD_PX)
    pixels = np.stack(np.meshgrid(*[np.arange(PERIOD_PX, dtype=np.float64)] * 2, indexing="ij"), axis=-1)
    distance, nearest = tree.query(pixels.reshape(-1, 2), k=2)
    shape = (PERIOD_PX, PERIOD_PX)
    to_wall = ((distance[:, 1] - distance[:, 0]) * mpp / 2).reshape(shape) + 0.5 * _field(rng, 5, mpp)
    membrane = np.clip((1.9 - to_wall) / 1.0, 0, 1)
    # nuclei lie flat against the membranes
    spots = _nuclei(rng, _lattice(rng, mpp, 30, 0.3, 0.8), mpp, (2.0, 2.8), (1.8, 3.2), (1.0, 0.2), vesicular=0.0)
    tint = np.random.default_rng(int(rng.integers(2**31))).uniform(0.0, 0.02, len(points))[nearest[:, 0]].reshape(shape)
    return np.clip(spots, 0, 1.2) * np.clip((4.0 - to_wall) / 2.0, 0, 1), 0.62 * membrane + tint


def _tumour(rng: np.random.Generator, mpp: float) -> tuple[FloatArray, FloatArray]:
    points = _lattice(rng, mpp, 13.2, 0.2, 0.92)
    nuclei = _nuclei(rng, points, mpp, (4.6, 7.4), (1.0, 1.7), (0.82, 0.24), vesicular=0.42)
    nucleoli = _nuclei(
        rng,
        (points + rng.standard_normal(points.shape) * 1.3 / mpp) % PERIOD_PX,
        mpp,
        (0.9, 1.5),
        (1.0, 1.2),
        (0.65, 0.4),
        vesicular=0.0,
    )
    chromatin = 1 + 0.22 * _field(rng, 0.9, mpp)
    strand = np.clip(1 - np.abs(_field(rng, 55, mpp)) / 0.10, 0, 1)
    cytoplasm = np.clip(0.56 + 0.1 * _field(rng, 3, mpp) + 0.08 * _field(rng, 30, mpp), 0.2, None)
    haematoxylin = (np.clip(nuclei, 0, 1.5) * chromatin + nucleoli * (nuclei > 0.2) + 0.14) * (
        1 - strand
    ) + 0.06 * strand
    eosin = cytoplasm * (1 - strand) + 0.85 * strand
    return haematoxylin, eosin
