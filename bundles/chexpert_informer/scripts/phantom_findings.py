"""The findings of the lungs as a film shows them: each takes a share of the air that the rays pass.

Cardiomegaly is a matter of the chest itself (:mod:`scripts.phantom_thorax`). Lengths in cm.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scripts.findings import FINDINGS
from scripts.phantom_grid import FilmGrid, edge
from scripts.phantom_patients import PhantomStudy
from scripts.phantom_plan import LOBES, FindingPlan
from scripts.phantom_thorax import RIGHT_LEFT, Thorax
from scripts.phantom_vessels import bronchial_tree
from shared.phantoms.shapes import random_outline, star_radius
from shared.phantoms.strokes import Strokes, curved_strokes

__all__ = ["draw_opacities"]

Image = NDArray[np.floating]


def draw_opacities(
    study: PhantomStudy,
    plan: FindingPlan,
    thorax: Thorax,
    grid: FilmGrid,
    coordinates: tuple[Image, Image],
    texture: Image,
    rng: np.random.Generator,
) -> dict[str, Image]:
    """Return the share of the air that each finding takes, 0 to 1, ``(H, W)`` by finding; none for the heart.

    Args:
        study: with the extents.
        plan: the findings' layout.
        thorax: the chest.
        grid: the film.
        coordinates: x and y of its pixels, cm.
        texture: a random field of mean 0 and variance 1, which makes opacities patchy.
        rng: source of randomness.
    """
    x, y = coordinates
    shares = {}
    extents = dict(zip(FINDINGS, study.extents, strict=True))
    if extent := extents["atelectasis"]:
        shares["atelectasis"] = _atelectasis(x, y, grid, thorax, plan, extent, rng)
    if extent := extents["consolidation"]:
        shares["consolidation"] = _consolidation(x, y, grid, thorax, plan.lobe, extent, texture, rng)
    if extent := extents["edema"]:
        shares["edema"] = _edema(x, y, grid, thorax, extent, texture, rng)
    if extents["pleural_effusion"]:
        shares["pleural_effusion"] = _effusion(x, y, thorax, plan, rng)
    return shares


def _atelectasis(
    x: Image, y: Image, grid: FilmGrid, thorax: Thorax, plan: FindingPlan, extent: float, rng: np.random.Generator
) -> Image:
    side, wedge = plan.collapsed
    if wedge:
        # a lower lobe that has shrunk towards the spine: a triangle between hilum, spine and diaphragm
        hilum_x, hilum_y = thorax.hilum(side)
        foot_x, foot_y = thorax.lung_point(side, rng.uniform(0.30, 0.55) - 0.1 * extent, 1.0)
        slope = (foot_x - hilum_x) / max(foot_y - hilum_y, 1.0)
        border = side * (x - hilum_x - slope * (y - hilum_y)) / np.hypot(1, slope)
        density = 0.18 + 0.70 * extent
        return np.float32(density) * edge(border, 0.16) * edge(-side * x, 0.3) * edge(hilum_y - 0.5 - y, 1.4)
    number = int(rng.integers(1, 4))
    middle = np.array([thorax.lung_point(side, rng.uniform(0.25, 0.7), rng.uniform(0.66, 0.94)) for _ in range(number)])
    half = rng.uniform(2.0, 3.4, number) * (0.6 + 0.6 * extent)
    tilt = rng.normal(-0.12 * side, 0.22, number)
    depth = (0.22 + 0.65 * extent) * rng.uniform(0.7, 1.1, number)
    width = rng.uniform(0.15, 0.25, number) * (1 + 0.9 * extent)
    bend = rng.normal(0, 0.15, number)
    # from the middle to both ends, which are thin
    plates = [
        curved_strokes(
            middle[:, 0], middle[:, 1], tilt + turn, half, way * bend, (width, 0.6 * width), (depth, 0.3 * depth)
        )
        for turn, way in ((0.0, 1), (np.pi, -1))
    ]
    lines = np.minimum(grid.draw(Strokes.join(plates)), 0.9)
    # the lung just above the raised diaphragm is less aired
    base = np.exp(-np.maximum(thorax.dome_at(x) - y, 0) / 1.6) * edge(-side * x + 2, 0.5)
    return np.maximum(lines, np.float32(0.45 * extent) * base)


def _consolidation(
    x: Image,
    y: Image,
    grid: FilmGrid,
    thorax: Thorax,
    lobe: str,
    extent: float,
    texture: Image,
    rng: np.random.Generator,
) -> Image:
    side, (across, along), fissure = LOBES[lobe]
    centre = thorax.lung_point(side, across + rng.normal(0, 0.07), along + rng.normal(0, 0.04))
    radius = rng.uniform(2.4, 3.8) * (0.85 + 0.7 * extent)
    dx, dy = x - np.float32(centre[0]), (y - np.float32(centre[1])) / np.float32(rng.uniform(0.9, 1.3))
    outline = random_outline(rng, 0.20, harmonics=5)
    angle = np.linspace(-np.pi, np.pi, 721)
    around = np.interp(np.arctan2(dy, dx).ravel(), angle, radius * star_radius(angle, outline)).reshape(x.shape)
    patch = edge((np.hypot(dx, dy) - around).astype(np.float32) - 0.45 * texture, 0.85)
    if fissure is not None:
        level = fissure[0] * thorax.domes[int(side > 0)] + rng.normal(0, 0.4)
        patch = patch * edge(
            np.float32(fissure[1]) * (level + np.float32(rng.normal(0, 0.06)) * (x - centre[0]) - y), 0.12
        )
    bronchi = np.minimum(grid.draw(bronchial_tree(side, thorax, centre, radius, rng)), 1)
    density = np.float32(0.24 + 0.60 * extent)
    return np.clip(density * patch * (1 + 0.16 * texture), 0, 0.93) * (1 - 0.55 * bronchi)


def _edema(
    x: Image, y: Image, grid: FilmGrid, thorax: Thorax, extent: float, texture: Image, rng: np.random.Generator
) -> Image:
    haze = np.zeros_like(x)
    lines = []
    for side in RIGHT_LEFT:
        centre = thorax.hilum(side)
        reach = rng.uniform(3.6, 5.0), rng.uniform(4.8, 6.5)
        wing = ((x - side * 1.2 - centre[0]) / reach[0]) ** 2 + ((y - 1.5 - centre[1]) / reach[1]) ** 2
        strength = (0.04 + 0.44 * extent) * rng.uniform(0.85, 1.15)
        haze += np.float32(strength) * np.exp(-wing)
        lines += _septa(side, thorax, extent, rng)
    level = 0.50 * thorax.domes[0]  # fluid in the fissure of the right lung
    lines.append(curved_strokes(-4.0, level, np.pi - 0.08, 7.0, 0.1, (0.09, 0.06), (0.32 * extent, 0.15 * extent)))
    general = np.float32(0.10 * extent)  # all of the lung is wetter, the lower part more
    patchy = (haze + general * (0.6 + 0.4 * y / np.float32(thorax.height))) * (1 + 0.22 * texture)
    return np.clip(patchy + grid.draw(Strokes.join(lines)), 0, 0.9)


def _septa(side: int, thorax: Thorax, extent: float, rng: np.random.Generator) -> list[Strokes]:
    """Return Kerley lines and bronchi with swollen walls of one lung."""
    x, y = thorax.hilum(side)
    outwards = 0.0 if side > 0 else np.pi
    # Kerley B: short, level, at the side wall above the angle
    number = int(rng.poisson(2 + 14 * extent))
    level = rng.uniform(0.62, 1.0, number) * thorax.domes[int(side > 0)]
    wall, inwards = side * (thorax.width_at(level) - 0.25), outwards + np.pi + rng.normal(0, 0.10, number)
    length = rng.uniform(1.0, 2.0, number)
    short = curved_strokes(wall, level, inwards, length, 0.0, (0.06, 0.05), (0.10 + 0.22 * extent, 0.05))
    # Kerley A: long, from the hilum outwards and up
    number = int(rng.poisson(4 * extent))
    begin = x + side * rng.uniform(0.8, 2.0, number), y + rng.uniform(-2.5, 1.0, number)
    away = outwards + side * rng.uniform(-0.9, 0.3, number)
    length = rng.uniform(2.5, 4.0, number)
    long = curved_strokes(*begin, away, length, 0.1, (0.06, 0.06), (0.08 + 0.15 * extent, 0.05))
    # bronchi seen end on: rings
    number = int(rng.poisson(3 * extent))
    radius = rng.uniform(0.22, 0.35, number)
    begin = x + side * rng.uniform(0.8, 2.4, number), y + rng.uniform(-2.4, 1.2, number)
    rings = curved_strokes(*begin, 0.0, 2 * np.pi * radius, 2 * np.pi, (0.08, 0.08), (0.18, 0.18), points=24)
    return [short, long, rings]


def _effusion(x: Image, y: Image, thorax: Thorax, plan: FindingPlan, rng: np.random.Generator) -> Image:
    """Return fluid: level and flat in the middle, drawn up along the side wall to a meniscus."""
    share = np.zeros_like(x)
    for side, extent in zip(RIGHT_LEFT, plan.effusions, strict=True):
        climb, reach, veil = rng.uniform(2.2, 4.5), rng.uniform(2.2, 4.2), rng.uniform(0.10, 0.45)
        if extent == 0:
            continue
        bottom = thorax.domes[int(side > 0)] + thorax.dome_depth
        depth = 0.1 + 7.0 * extent * (0.7 if plan.veil else 1.0)
        from_wall = np.maximum(thorax.width_at(y).astype(np.float32) - side * x, 0)
        surface = (
            bottom
            - np.float32(depth)
            - np.float32(climb * min(1.0, 0.35 + extent)) * np.exp(-from_wall / np.float32(reach))
        )
        beneath = y - surface
        of_side = edge(-side * x + 1.0, 0.4)
        fluid = 0.93 * edge(-beneath, 0.30 + 0.5 * extent)
        if plan.veil:
            sheet = np.clip((y - 2) / np.float32(bottom - 2), 0, 1)
            fluid = np.maximum(fluid, np.float32(veil * (0.4 + extent)) * sheet)
        share = np.maximum(share, fluid * of_side)
    return share
