"""The chest that the findings are drawn into: inside of the chest, diaphragm, heart, great vessels and body wall.

Lengths in cm, coordinates as in :mod:`scripts.phantom_grid`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scripts.phantom_grid import body, edge
from scripts.phantom_parameters import PhantomParameters
from scripts.phantom_patients import PhantomStudy

__all__ = ["RIGHT_LEFT", "Thorax", "sample_thorax"]

Image = NDArray[np.floating]

#: sign of x on the patient's right and left
RIGHT_LEFT = (-1, 1)
# exponents, across and upwards, of the outline of the chest's inside seen from the front
_ACROSS, _UP = 2.6, 1.75
# sharpness of the notch between the heart's chambers
_JOIN = np.float32(9.0)
# ratios of the heart's ventricular ellipse to the heart's width, and its tilt: apex to the left and down
_VENTRICLE = (0.52, 0.36)
_TILT = 0.70


@dataclass(frozen=True)
class Thorax:
    """One chest, as it is filled in one film.

    Args:
        half_width: half the inner width at the widest level.
        height: from the apices to that level's lungs, see ``widest``.
        widest: y of the widest level.
        depth: of the chest's inside from front to back.
        wall: soft tissue at the side.
        thickness: soft tissue before and behind.
        domes: y of the tops of the right and the left diaphragm.
        dome_depth: from a dome down to the costophrenic angle.
        heart_ratio: width of the heart relative to that of the chest.
        right_share: share of it right of the midline.
        shift: by how much heart and mediastinum are pulled to the left.
        carina: y of the fork of the trachea.
        arch: radius of the aortic arch.
        breasts: soft tissue of a breast, and its radius; zeros if none is seen.
        scoliosis: sideways amplitude of the spine.
    """

    half_width: float
    height: float
    widest: float
    depth: float
    wall: float
    thickness: float
    domes: tuple[float, float]
    dome_depth: float
    heart_ratio: float
    right_share: float
    shift: float
    carina: float
    arch: float
    breasts: tuple[float, float]
    scoliosis: float

    def width_at(self, y: ArrayLike) -> NDArray[np.float64]:
        """Return half the inner width at levels y; 0 above the apices."""
        above = np.clip((self.widest - np.asarray(y, float)) / self.widest, 0, 1)
        return self.half_width * (1 - above**_UP) ** (1 / _ACROSS)

    def dome_at(self, x: Image) -> Image:
        """Return y of the diaphragm at each x: a dome on each side, deep at the side wall, shallow at the heart."""
        left = edge(-x, 2.5)
        top = (1 - left) * np.float32(self.domes[0]) + left * np.float32(self.domes[1])
        middle = np.float32(0.5 * self.half_width)
        away = (np.sqrt(x * x + 4) - middle) / middle  # no cusp at the midline
        return top + np.float32(self.dome_depth) * np.where(away > 0, away**2, 0.45 * away**2)

    def hilum(self, side: int) -> tuple[float, float]:
        """Return where the vessels of a lung enter it."""
        return side * 3.4 + 0.6 * self.shift, self.carina + (2.4 if side < 0 else 1.6)

    def lung_point(self, side: int, across: float, along: float) -> tuple[float, float]:
        """Return a point of a lung.

        Args:
            side: −1 right, 1 left.
            across: 0 at the mediastinum, 1 at the side wall.
            along: 0 at the apex, 1 at the diaphragm's dome.
        """
        y = along * self.domes[int(side > 0)]
        inner, outer = 2.6, float(self.width_at(y))
        return side * (inner + across * (outer - inner)), y

    def cage(self, x: Image, y: Image) -> Image:
        """Return how deep the chest's inside is relative to its middle: above 0 inside, ``1 − ρ^p``."""
        above = np.maximum(self.widest - y, 0) / np.float32(self.widest)
        narrowing = 1 - 0.012 * np.maximum(y - self.widest, 0)  # the lowest ribs draw in
        across = np.abs(x) / (np.float32(self.half_width) * narrowing)
        return 1 - across ** np.float32(_ACROSS) - above ** np.float32(_UP)

    def below_diaphragm(self, x: Image, y: Image) -> Image:
        """Return the share of the depth that the abdomen takes: 1 below, less where lung reaches down behind it."""
        beneath = y - self.dome_at(x)
        return edge(-beneath, 0.10) * (1 - 0.22 * np.exp(-np.maximum(beneath, 0) / 2.2))

    def heart(self, x: Image, y: Image) -> Image:
        """Return ``1 − ρ²`` of the heart, of ventricles, right atrium and base joined smoothly; above 0 inside.

        The heart is as wide as ``heart_ratio`` says: the leftmost point of the ventricles and the rightmost of the
        atrium lie ``heart_ratio × 2 × half_width`` apart.
        """
        width = 2 * self.half_width * self.heart_ratio
        right, left = self.right_share * width, (1 - self.right_share) * width
        a, b = (ratio * width for ratio in _VENTRICLE)
        reach = np.hypot(a * np.cos(_TILT), b * np.sin(_TILT))
        fall = np.hypot(a * np.sin(_TILT), b * np.cos(_TILT))
        level = self.domes[1] + 1.6 - fall
        atrium = 0.62 * right + 0.9
        ventricles = body(x, y, (left - reach + self.shift, level), (a, b), _TILT)
        right_atrium = body(x, y, (atrium - right + self.shift, level + 0.07 * width), (atrium, 0.31 * width))
        base = body(x, y, (0.3 + self.shift, level - 0.22 * width), (0.25 * width, 0.35 * width))
        # a smooth maximum: no notch where they meet
        joined = sum(np.exp(_JOIN * np.maximum(part, -3)) for part in (ventricles, right_atrium, base))
        return np.log(joined) / _JOIN

    def mediastinum(self, x: Image, y: Image) -> Image:
        """Return the share of the depth that heart, great vessels and the tissue around the spine take, 0 to 1."""
        x = x - np.float32(0.6 * self.shift) * edge(y - self.domes[0], 3.0)
        heart = 0.92 * np.maximum(self.heart(x + np.float32(0.6 * self.shift), y), 0) ** np.float32(0.30)
        upper = edge(y - self.carina - 5, 1.5)
        # superior vena cava on the right, subclavian vessels on the left; wider towards the neck and the heart
        flare = 0.12 * np.maximum(4.5 - y, 0) ** 2 + 0.16 * np.maximum(y - self.carina, 0)
        vessels = 0.84 * edge(np.abs(x + 0.3) - 2.2 - flare, 0.20) * upper
        spine = 0.75 * edge(np.abs(x) - 1.9, 0.40)
        arch = self._vessel(x, y, (1.5, self.carina - 1.7), (self.arch, self.arch * 1.2), 0.82)
        trunk = self._vessel(x, y, (1.2, self.carina + 2.4), (1.7, 3.0), 0.80)
        aorta = 0.60 * edge(np.abs(x - 1.3) - 1.2, 0.14) * edge(self.carina - 1.0 - y, 0.6)
        # only where one reaches beyond the others does its border show
        return np.maximum.reduce([heart, vessels, spine, arch, trunk, aorta])

    def soft_tissue(self, x: Image, y: Image) -> Image:
        """Return the body's thickness along the rays, cm of soft tissue, the chest's inside counted as filled."""
        width = np.float32(self.half_width + self.wall)
        reach = np.float32(12.0)  # from the skin to where the body is as thick as it gets
        arm = np.maximum(10.5 - y, 0)
        side = width + 0.02 * (y - 12) + 0.20 * arm**2 - np.abs(x)
        shoulder = (y + 3.0 - 0.32 * np.maximum(np.abs(x) - 5.5, 0) - 0.008 * np.maximum(np.abs(x) - 9, 0) ** 2) * 0.95
        neck = 5.6 + 0.25 * np.maximum(y + 6, 0) - np.abs(x)
        inside = np.maximum(np.minimum(side, shoulder), neck)
        share = np.sqrt(1 - (1 - np.clip(inside / reach, 0, 1)) ** 2)
        full = self.depth + self.thickness - 7.0 * edge(y - 1.5, 2.5)  # neck and shoulders are thinner
        return full * share + self._breasts(x, y)

    def _breasts(self, x: Image, y: Image) -> Image:
        amount, radius = self.breasts
        if amount == 0:
            return np.zeros_like(x)
        centre = (0.58 * self.half_width, self.domes[0] - 0.25 * radius)
        return np.float32(amount) * np.maximum(body(np.abs(x), y, centre, (radius, 1.05 * radius)), 0) ** np.float32(
            0.6
        )

    @staticmethod
    def _vessel(x: Image, y: Image, centre: tuple[float, float], axes: tuple[float, float], share: float) -> Image:
        return np.float32(share) * np.maximum(body(x, y, centre, axes), 0) ** np.float32(0.3)


def sample_thorax(
    study: PhantomStudy,
    person: np.random.Generator,
    film: np.random.Generator,
    heart_ratio: float | None,
    lifts: tuple[float, float],
    shift: float,
    parameters: PhantomParameters,
) -> Thorax:
    """Draw a chest.

    Args:
        study: whose chest it is.
        person: source of randomness of what stays the same in all films of a patient.
        film: source of randomness of what does not: how deep the breath was.
        heart_ratio: width of the heart relative to the chest; None draws a normal one.
        lifts: by how much collapsed lung draws the right and the left diaphragm up, cm.
        shift: by how much it draws the mediastinum to the left, cm.
        parameters: of the phantoms.
    """
    spread = parameters.thorax
    female = study.sex == "F"
    scale = spread.female_scale if female else 1.0
    half_width, height = spread.half_width.draw(person) * scale, spread.lung_height.draw(person) * scale
    depth, wall, thickness = (each.draw(person) for each in (spread.depth, spread.wall, spread.thickness))
    difference, dome_depth = spread.dome_difference.draw(person), spread.dome_depth.draw(person)
    normal_heart, right_share = spread.heart_ratio.draw(person), spread.right_share.draw(person)
    scoliosis = spread.scoliosis.draw(person)
    breast = (person.uniform(0.8, 4.5), person.uniform(5.0, 7.5))
    arch = person.uniform(1.4, 1.8) + 0.008 * max(study.age - 40, 0)
    breath = spread.shallow.draw(film) if study.view == "AP" else 1.0
    height *= breath
    return Thorax(
        half_width=half_width,
        height=height,
        widest=0.84 * height,
        depth=depth * scale,
        wall=wall,
        thickness=thickness,
        domes=(height - lifts[0], height + difference - lifts[1]),
        dome_depth=dome_depth * (0.75 + 0.25 * breath),
        heart_ratio=normal_heart if heart_ratio is None else heart_ratio,
        right_share=right_share,
        shift=shift,
        carina=0.36 * height,
        arch=arch,
        breasts=breast if female else (0.0, 0.0),
        scoliosis=scoliosis,
    )
