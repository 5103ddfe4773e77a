"""Vessels and airways: trees that grow from the hila, all branches of a generation at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scripts.phantom_thorax import RIGHT_LEFT, Thorax
from shared.phantoms.strokes import Strokes, curved_strokes

__all__ = ["airways", "bronchial_tree", "lung_vessels"]

FloatArray = NDArray[np.float64]

# trunks of each lung, twigs of each branch, and generations of twigs
_TRUNKS, _TWIGS, _GENERATIONS = 11, 4, 2


def lung_vessels(
    thorax: Thorax, person: np.random.Generator, calibre: float = 1.0, redistribution: float = 0.0
) -> Strokes:
    """Return the vessels of both lungs; their peak is their thickness, cm.

    Args:
        thorax: the chest.
        person: source of randomness.
        calibre: factor on their radius.
        redistribution: 0 if the vessels of the lower lungs are the wider ones, as upright and healthy; 1 if those of
            the upper lungs are, as in heart failure.
    """
    parts = []
    for side in RIGHT_LEFT:
        hilum = thorax.hilum(side)
        down = np.linspace(-1.35, 1.45, _TRUNKS) + person.normal(0, 0.10, _TRUNKS)  # 0 is outwards, + downwards
        angle = np.where(side > 0, down, np.pi - down)
        # the trunks leave along the hilum, the upper ones from its top
        x, y = hilum[0] + side * 0.5 * np.cos(down), hilum[1] + 1.7 * np.sin(down)
        room = _room(thorax, x, y, angle)
        radius = calibre * person.uniform(0.20, 0.32, _TRUNKS) * (1 + (0.30 - 0.55 * redistribution) * np.sin(down))
        parts += _tree((x, y), angle, room * person.uniform(0.75, 1.0, _TRUNKS), radius, person)
        # the pulmonary artery itself, which makes the hilum's shadow
        parts.append(
            curved_strokes(
                hilum[0] - side * 0.4,
                hilum[1] - 1.0,
                np.pi / 2 - side * 0.30,
                person.uniform(4.5, 6.0),
                -0.15 * side,
                (0.50, 0.32),
                (0.75, 0.35),
            )
        )
    return Strokes.join(parts)


def bronchial_tree(
    side: int, thorax: Thorax, target: tuple[float, float], spread: float, rng: np.random.Generator
) -> Strokes:
    """Return the bronchi that lead from a hilum into a part of the lung; their peak is 1.

    Args:
        side: −1 right, 1 left.
        thorax: the chest.
        target: middle of that part, cm.
        spread: radius of that part, cm.
        rng: source of randomness.
    """
    x, y = thorax.hilum(side)
    ends = np.array(target) + rng.normal(0, 0.45 * spread, (4, 2))
    dx, dy = ends[:, 0] - x, ends[:, 1] - y
    length = np.hypot(dx, dy) + 0.4 * spread
    bend = rng.normal(0, 0.45, 4)
    trunks = curved_strokes(x, y, np.arctan2(dy, dx) - bend / 2, length, bend, (0.13, 0.08), (1.0, 0.9))
    number = 9
    origin = np.array(target) + rng.normal(0, 0.4 * spread, (number, 2))
    away = np.arctan2(origin[:, 1] - y, origin[:, 0] - x) + rng.normal(0, 0.5, number)
    twigs = curved_strokes(
        origin[:, 0],
        origin[:, 1],
        away,
        rng.uniform(0.25, 0.6, number) * spread,
        rng.normal(0, 0.4, number),
        (0.07, 0.05),
        (0.9, 0.3),
    )
    return Strokes.join([trunks, twigs])


def airways(thorax: Thorax) -> Strokes:
    """Return trachea and main bronchi; their peak is the length of air along the rays, cm."""
    fork = thorax.carina
    middle = 0.8 * thorax.shift
    trachea = curved_strokes(
        0.1, -7.0, np.pi / 2 - 0.02 * middle, fork + 7.0, 0.0, (0.62, 0.62), (1.5, 1.5), points=120
    )
    main = curved_strokes(
        [middle - 0.25, middle + 0.25],
        [fork - 0.2] * 2,
        [np.pi / 2 + 0.50, np.pi / 2 - 0.80],
        [3.2, 4.4],
        [0.05, -0.15],
        (0.48, 0.40),
        (1.1, 0.7),
    )
    return Strokes.join([trachea, main])


def _tree(
    start: tuple[FloatArray, FloatArray],
    angle: FloatArray,
    length: FloatArray,
    radius: FloatArray,
    person: np.random.Generator,
) -> list[Strokes]:
    """Return branches and their twigs, generation by generation; radii in cm."""
    parts = []
    for _ in range(_GENERATIONS + 1):
        bend = person.normal(0, 0.35, len(angle))
        branch = curved_strokes(
            *start, angle, length, bend, (0.6 * radius, 0.6 * 0.25 * radius), (2 * radius, 0.5 * radius)
        )
        parts.append(branch)
        points = branch.x.reshape(len(angle), -1), branch.y.reshape(len(angle), -1)
        place = person.uniform(0.12, 0.85, (len(angle), _TWIGS))  # where on the branch each twig leaves it
        index = (place * points[0].shape[1]).astype(int)
        start = tuple(np.take_along_axis(values, index, axis=1).ravel() for values in points)  # type: ignore[assignment]
        turned = angle[:, None] + bend[:, None] * place
        angle = (turned + person.choice([-1, 1], place.shape) * person.uniform(0.35, 0.9, place.shape)).ravel()
        length = (length[:, None] * (1 - place) * person.uniform(0.45, 0.8, place.shape) + 0.5).ravel()
        radius = (radius[:, None] * (1 - 0.65 * place) * person.uniform(0.45, 0.7, place.shape)).ravel()
    return parts


def _room(thorax: Thorax, x: FloatArray, y: FloatArray, angle: FloatArray) -> FloatArray:
    """Return how far it is from a point to the side wall, the apex or the diaphragm along each direction, cm."""
    steps = np.linspace(0.5, 22, 44)
    px, py = x[:, None] + np.outer(np.cos(angle), steps), y[:, None] + np.outer(np.sin(angle), steps)
    dome = thorax.dome_at(px.astype(np.float32))
    free = (np.abs(px) < thorax.width_at(py) - 0.8) & (py < dome) & (py > 0.5)
    return np.where(free.all(axis=1), steps[-1], steps[np.argmin(free, axis=1)])
