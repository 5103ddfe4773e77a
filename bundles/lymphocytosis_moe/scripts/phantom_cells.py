"""Phantom lymphocytes as random draws of their properties; all cells of a batch at once. Lengths are in µm."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scripts.phantom_parameters import PhantomParameters
from shared.phantoms.masks import TruthBits
from shared.phantoms.shapes import random_outlines

__all__ = ["ABNORMAL", "GRANULAR", "KINDS", "TRUTH", "Lymphocytes", "sample_lymphocytes"]

KINDS = ("ordinary", "abnormal", "granular")
ABNORMAL, GRANULAR = 1, 2
TRUTH = TruthBits(("cell", "nucleus", "nucleolus", "cause", "granules"))

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Lymphocytes:
    """Properties of N lymphocytes.

    Args:
        kind: index in :data:`KINDS`, ``(N,)``.
        centre: row and column relative to the middle of the image, µm, ``(N, 2)``.
        cell_radius: µm, ``(N,)``.
        cell_outline: coefficients of the relative radius, ``(M - 1, 2, N)``.
        nucleus_radius: µm, ``(N,)``.
        nucleus_outline: as ``cell_outline``.
        nucleus_shift: of the nucleus in the cell, µm, ``(N, 2)``.
        darkness: amount of nuclear stain, ``(N,)``.
        basophilia: amount of cytoplasmic stain, ``(N,)``.
        contrast: relative standard deviation of the nuclear stain, ``(N,)``.
        coarse: share of coarse chromatin, 0 to 1, ``(N,)``.
        nucleoli: their number, ``(N,)``.
        granules: their number, ``(N,)``.
        paleness: how much paler nucleoli are than the nucleus, 1 as usual, 0 for none, ``(N,)``.
        granule_stain: amount of stain of the granules, 1 as usual, ``(N,)``.
    """

    kind: NDArray[np.int64]
    centre: FloatArray
    cell_radius: FloatArray
    cell_outline: FloatArray
    nucleus_radius: FloatArray
    nucleus_outline: FloatArray
    nucleus_shift: FloatArray
    darkness: FloatArray
    basophilia: FloatArray
    contrast: FloatArray
    coarse: FloatArray
    nucleoli: NDArray[np.int64]
    granules: NDArray[np.int64]
    paleness: FloatArray
    granule_stain: FloatArray


def sample_lymphocytes(
    kind: NDArray[np.int64],
    rng: np.random.Generator,
    parameters: PhantomParameters,
    size: float = 1.0,
    basophilia: float = 1.0,
) -> Lymphocytes:
    """Draw the properties of lymphocytes.

    Args:
        kind: of each, index in :data:`KINDS`, ``(N,)``.
        rng: source of randomness.
        parameters: of the phantoms.
        size: the patient's factor on all lengths.
        basophilia: the patient's factor on the cytoplasmic stain.
    """
    number = len(kind)
    kinds = [parameters.kinds[name] for name in KINDS]

    def draw(name: str) -> FloatArray:
        """Draw one property, each cell from the distribution of its kind."""
        of_kind = np.stack([getattr(described, name).draw_many(rng, number) for described in kinds])
        return of_kind[kind, np.arange(number)]

    nucleus_radius = size * draw("nucleus_um")
    cell_radius = nucleus_radius / draw("nuclear_ratio")
    direction, depth = rng.uniform(0, 2 * np.pi, number), np.sqrt(rng.uniform(size=number))
    shift = 0.7 * depth * (cell_radius - nucleus_radius)
    cumulative = np.cumsum([described.nucleoli for described in kinds], axis=1)[kind]
    nucleoli = (rng.uniform(size=(number, 1)) > cumulative[:, :-1]).sum(axis=1)
    chromatin = np.array([described.chromatin_um for described in kinds])
    return Lymphocytes(
        kind=kind,
        centre=rng.normal(0, parameters.microscope.jitter_um, (number, 2)),
        cell_radius=cell_radius,
        cell_outline=_elongated(random_outlines(rng, number, 0.055, 6, 0.7), rng, 0.06),
        nucleus_radius=nucleus_radius,
        nucleus_outline=_elongated(random_outlines(rng, number, 0.030, 5, 1.5), rng, 0.05),
        nucleus_shift=shift[:, None] * np.stack([np.sin(direction), np.cos(direction)], axis=1),
        darkness=draw("darkness"),
        basophilia=basophilia * draw("basophilia"),
        contrast=np.array([described.chromatin_contrast for described in kinds])[kind],
        coarse=((chromatin - chromatin.min()) / max(float(np.ptp(chromatin)), 1e-9))[kind],
        nucleoli=nucleoli,
        granules=np.maximum(0, np.rint(draw("granules"))).astype(np.int64),
        paleness=np.ones(number),
        granule_stain=np.ones(number),
    )


def _elongated(outline: FloatArray, rng: np.random.Generator, std: float) -> FloatArray:
    """Return outlines with a random ellipticity added to harmonic 2."""
    outline[0] += std * rng.standard_normal(outline.shape[1:])
    return outline
