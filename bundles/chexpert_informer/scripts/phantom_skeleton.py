"""Ribs, clavicles, shoulder blades and spine: what they attenuate, relative to a rib's middle."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scripts.phantom_grid import edge
from scripts.phantom_parameters import PhantomParameters
from scripts.phantom_patients import PhantomStudy
from scripts.phantom_thorax import Thorax

__all__ = ["skeleton"]

Image = NDArray[np.floating]

# half heights, cm
_RIB, _CLAVICLE = 0.46, 0.55
# cm of bone edge, which is denser than the marrow inside
_CORTEX = 0.10


def skeleton(
    x: Image,
    y: Image,
    thorax: Thorax,
    study: PhantomStudy,
    person: np.random.Generator,
    parameters: PhantomParameters,
) -> Image:
    """Return the bones of a chest, ``(H, W)``, 1 in the middle of a rib.

    Args:
        x: coordinates of the pixels, cm.
        y: the same.
        thorax: the chest.
        study: in a film taken in bed the shoulder blades lie over the lungs and the collar bones higher.
        person: source of randomness.
        parameters: of the phantoms.
    """
    in_bed = study.view == "AP"
    bones = _ribs(x, y, thorax, parameters.thorax.rib_spacing.draw(person), person)
    bones += _clavicles(x, y, person.uniform(1.2, 3.6) - (1.4 if in_bed else 0.0), person.uniform(1.5, 4.0))
    bones += _shoulder_blades(x, y, (10.0 if in_bed else 12.8) * thorax.half_width / 14 + person.uniform(-0.7, 0.7))
    bones += _spine(x, y, thorax, person.uniform(2.25, 2.65), person.uniform(0, 1))
    return bones


def _ribs(x: Image, y: Image, thorax: Thorax, spacing: float, person: np.random.Generator) -> Image:
    """Return ribs: each is a tilted ring, seen from the front as the two halves of an ellipse.

    With t = |x| / half width and s = √(1 − t²), the hind half of the ring that meets the side wall at level v lies at
    ``y = v − rise · s`` and the front half at ``y = v + fall · s``. Solved for v, one evaluation gives all ribs: the
    nearest multiple of the spacing, and the distance ``(v − v_rib) / |∇v|`` to first order.
    """
    width = np.float32(thorax.half_width + 0.35)
    above = np.clip((thorax.widest + 2.5 - y) / (thorax.widest + 2.5), 0, 1)
    reach = width * (1 - above ** np.float32(1.75)) ** np.float32(1 / 2.6) + 1e-3
    t = np.minimum(np.abs(x) / reach, 1)
    s = np.sqrt(1 - t * t)
    inside = edge((np.abs(x) - reach) - 0.1, 0.15)
    jitter = person.normal(0, 0.12, 40).astype(np.float32)
    hind = _bands(y + 4.6 * s, 4.6 * t / np.maximum(s, 0.12) / width, spacing, 0.3, jitter) * edge(2.0 - np.abs(x), 0.4)
    front = _bands(y - 5.5 * s, 5.5 * t / np.maximum(s, 0.12) / width, spacing, 0.3, jitter)
    cartilage = edge(0.42 - t, 0.07)  # towards the breast bone ribs are cartilage
    strength = person.uniform(0.85, 1.2)
    return (strength * (hind + 0.50 * front * cartilage) * inside).astype(np.float32)


def _bands(v: Image, slope: Image, spacing: float, start: float, jitter: Image) -> Image:
    number = np.rint((v - start) / spacing)
    index = np.clip(number, 0, 13).astype(np.int64)
    distance = np.abs(v - start - number * spacing + jitter[index]) / np.sqrt(1 + slope * slope)
    shown = (number >= 1) & (number <= 12)
    return np.where(shown, _tube(distance, _RIB), 0) * np.sqrt(np.sqrt(1 + slope * slope))


def _tube(distance: Image, half: float) -> Image:
    """Return a bone seen from the side: marrow between two bright edges."""
    return edge(distance - half, 0.07) * 0.75 + 0.5 * np.exp(-(((distance - half + _CORTEX) / _CORTEX) ** 2))


def _clavicles(x: Image, y: Image, level: float, rise: float) -> Image:
    away = np.abs(x) - 1.7
    u = away / 14
    middle = level - rise * u + 0.75 * np.sin(2 * np.pi * np.clip(u, 0, 1)).astype(np.float32)
    thick = _CLAVICLE * (1 + 0.35 * np.exp(-away * away / 3))
    return 1.5 * _tube(np.abs(y - middle) * _CLAVICLE / thick, _CLAVICLE) * edge(-away, 0.2) * edge(away - 14, 0.5)


def _shoulder_blades(x: Image, y: Image, medial: float) -> Image:
    """Return the blades: a triangle at each side whose inner border and lower tip show as a line."""
    inner = medial + 0.012 * (y - 8) ** 2 - np.abs(x)
    outer = np.abs(x) - (medial + 6.0) + 0.42 * np.maximum(y - 2.5, 0)
    distance = np.maximum(np.maximum(inner, outer * 0.9), 1.5 - y)
    return 0.40 * edge(distance, 0.10) + 0.25 * np.exp(-((distance + 0.15) ** 2) / 0.03)


def _spine(x: Image, y: Image, thorax: Thorax, height: float, phase: float) -> Image:
    """Return vertebrae: brighter at their end plates, with two pedicles and a spinous process each."""
    x = x - np.float32(thorax.scoliosis) * np.sin(y / 5)
    turn = (2 * np.pi * (y / height + phase)).astype(np.float32)
    waist = 1.75 + 0.15 * np.cos(turn)
    column = edge(np.abs(x) - waist, 0.15)
    plates = np.maximum(np.cos(turn), 0) ** 6
    level = np.mod(y / height + phase + 0.15, 1) - 0.5
    pedicles = np.exp(-(((np.abs(x) - 1.05) / 0.32) ** 2) - (level * height / 0.40) ** 2)
    process = np.exp(-((x / 0.22) ** 2) - ((level - 0.2) * height / 0.55) ** 2)
    return column * (1.25 + 0.45 * plates) + 0.5 * pedicles + 0.5 * process
