"""What is seen in chests and is none of the five findings: devices, scars, nodules."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scripts.phantom_grid import FilmGrid
from scripts.phantom_parameters import PhantomParameters
from scripts.phantom_patients import PhantomStudy
from scripts.phantom_thorax import RIGHT_LEFT, Thorax
from shared.phantoms.strokes import Strokes, curved_strokes

__all__ = ["devices", "scars"]

Image = NDArray[np.floating]


def devices(study: PhantomStudy, thorax: Thorax, parameters: PhantomParameters, rng: np.random.Generator) -> Strokes:
    """Return the devices of a film; their peak is what they attenuate.

    A central catheter, electrodes on wires, a pacemaker with its lead, and a breathing tube, each by chance.
    """
    shares = parameters.distractors
    share = shares.device_ap if study.view == "AP" else shares.device_pa
    kinds = (_catheter, _electrodes, _pacemaker, _tube)
    shown = rng.random(len(kinds)) < share
    return Strokes.join(kind(thorax, rng) for kind, wanted in zip(kinds, shown, strict=True) if wanted)


def scars(thorax: Thorax, grid: FilmGrid, parameters: PhantomParameters, rng: np.random.Generator) -> Image:
    """Return the share of the air that fibrous lines and nodules take, ``(H, W)``."""
    scarred, nodular = rng.random(2) < (parameters.distractors.scar, parameters.distractors.nodule)
    parts = []
    if scarred:
        number = int(rng.integers(1, 4))
        side = rng.choice(RIGHT_LEFT, number)
        place = np.array([thorax.lung_point(s, *rng.uniform((0.2, 0.1), (0.9, 0.9))) for s in side])
        length, bend = rng.uniform(1.5, 4.0, number), rng.normal(0, 0.5, number)
        parts.append(
            curved_strokes(
                place[:, 0],
                place[:, 1],
                rng.uniform(0, 2 * np.pi, number),
                length,
                bend,
                (0.08, 0.06),
                (rng.uniform(0.1, 0.3), 0.05),
            )
        )
    if nodular:
        x, y = thorax.lung_point(int(rng.choice(RIGHT_LEFT)), rng.uniform(0.2, 0.85), rng.uniform(0.2, 0.9))
        size = rng.uniform(0.25, 0.7)
        # a line as short as it is wide is a dot
        parts.append(curved_strokes(x, y, 0.0, 0.8 * size, 0.0, (size, size), (rng.uniform(0.3, 0.8),) * 2, points=6))
    return np.clip(grid.draw(Strokes.join(parts)), 0, 0.9)


def _catheter(thorax: Thorax, rng: np.random.Generator) -> Strokes:
    """From the right side of the neck down the superior vena cava, to where it meets the atrium or before."""
    length = thorax.carina + rng.uniform(3.5, 8.0)
    return curved_strokes(
        rng.uniform(-5.0, -3.5), -4.0, 1.25, length, rng.uniform(0.35, 0.6), (0.08, 0.08), (0.55, 0.55), 120
    )


def _electrodes(thorax: Thorax, rng: np.random.Generator) -> Strokes:
    number = 3
    x, y = rng.uniform(-11, 11, number), rng.uniform(1.0, 0.9 * thorax.height, number)
    wires = curved_strokes(
        x,
        y,
        rng.uniform(-2.6, -0.5, number),
        rng.uniform(10, 24, number),
        rng.normal(0, 0.9, number),
        (0.06, 0.06),
        (0.30, 0.30),
        160,
    )
    heads = curved_strokes(x - 0.3, y, 0.0, 0.6, 0.0, (0.30, 0.30), (0.45, 0.45), points=8)
    return Strokes.join([wires, heads])


def _pacemaker(thorax: Thorax, rng: np.random.Generator) -> Strokes:
    """A box below the left collar bone, and a lead through the vein into the right ventricle."""
    x, y = rng.uniform(8.5, 10.5), rng.uniform(4.5, 7.0)
    rows = y + np.linspace(-1.5, 1.5, 7)
    box = curved_strokes(x - 1.9, rows, 0.0, 3.8, 0.0, (0.33, 0.33), (0.7, 0.7), points=24)
    into_vein = curved_strokes(x - 1.0, y - 1.6, -2.6, 12.5, -2.2, (0.08, 0.08), (0.7, 0.7), points=140)
    end = into_vein.x[-1], into_vein.y[-1]
    into_heart = curved_strokes(*end, -4.8, 0.55 * thorax.height, -1.3, (0.08, 0.08), (0.7, 0.7), points=140)
    return Strokes.join([box, into_vein, into_heart])


def _tube(thorax: Thorax, rng: np.random.Generator) -> Strokes:
    length = 7.0 + thorax.carina - rng.uniform(2.5, 5.0)
    return curved_strokes([0.05, 0.55], -7.0, np.pi / 2, length, 0.0, (0.07, 0.07), (0.35, 0.35), points=140)
