"""Where everything of a phantom slide lies: the node, its follicles and vessels, metastases, folds and pen marks.

Positions are in µm from the slide's upper left corner, x to the right, y downwards.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scripts.phantom_parameters import PhantomParameters
from shared.phantoms.shapes import random_outline, star_radius

__all__ = ["Anatomy", "Blob", "Line", "Metastasis", "draw_anatomy"]

FloatArray = NDArray[np.float64]

#: vertices of an annotated outline
VERTICES = 160

#: greatest extent of a macrometastasis is at least this, µm: the limit of 2 mm and a margin for drawing
MACRO_UM = 2050.0

#: colours of pens: share of red, green and blue light that passes
INKS = {"green": (0.22, 0.56, 0.36), "blue": (0.16, 0.22, 0.62), "black": (0.14, 0.14, 0.15)}


@dataclass(frozen=True)
class Blob:
    """A closed outline: an ellipse whose radius varies with the angle.

    Args:
        x, y: centre.
        half: half lengths along x and y.
        coefficients: of the relative radius, see :func:`shared.phantoms.shapes.star_radius`.
    """

    x: float
    y: float
    half: tuple[float, float]
    coefficients: FloatArray

    def depth(self, x: ArrayLike, y: ArrayLike) -> FloatArray:
        """Return how deep points lie within the outline in µm, to first order; negative outside."""
        u = (np.asarray(x, float) - self.x) / self.half[0]
        v = (np.asarray(y, float) - self.y) / self.half[1]
        rho = np.maximum(np.hypot(u, v), 1e-6)
        slope = np.hypot(u / self.half[0], v / self.half[1]) / rho
        return (star_radius(np.arctan2(v, u), self.coefficients) - rho) / slope

    @cached_property
    def greatest_radius(self) -> float:
        """What the relative radius does not exceed."""
        return 1 + float(np.hypot(*self.coefficients.T).sum())

    def greatest_depth(self, left: float, right: float, top: float, bottom: float) -> float:
        """Return a depth that no point of a rectangle exceeds; infinite where it may reach into the outline."""
        u = max(left - self.x, self.x - right, 0.0) / self.half[0]
        v = max(top - self.y, self.y - bottom, 0.0) / self.half[1]
        # outside: (radius - rho) / slope, where slope is at most 1 / min(half)
        beyond = math.hypot(u, v) - self.greatest_radius
        return -beyond * min(self.half) if beyond > 0 else math.inf

    def polygon(self, number: int = VERTICES) -> FloatArray:
        """Return points of the outline, ``(number, 2)`` as x, y."""
        angle = np.linspace(0, 2 * np.pi, number, endpoint=False)
        radius = star_radius(angle, self.coefficients)
        return np.stack(
            [self.x + self.half[0] * radius * np.cos(angle), self.y + self.half[1] * radius * np.sin(angle)], axis=1
        )

    @property
    def extent(self) -> float:
        """Greatest distance of two points of the outline."""
        points = self.polygon()
        return float(np.sqrt(((points[:, None] - points[None]) ** 2).sum(axis=-1)).max())

    def of_extent(self, extent: float) -> Blob:
        """Return the same outline with another greatest extent."""
        factor = extent / self.extent
        return replace(self, half=(self.half[0] * factor, self.half[1] * factor))


@dataclass(frozen=True)
class Line:
    """A drawn or folded line.

    Args:
        points: corners, ``(P, 2)`` as x, y.
        half_width: in µm.
        ink: share of red, green and blue light that passes; None for a fold.
    """

    points: FloatArray
    half_width: float
    ink: tuple[float, float, float] | None = None

    def depth(self, x: FloatArray, y: FloatArray) -> FloatArray:
        """Return how deep points ``(H, 1)``, ``(1, W)`` lie within the line's width, µm; negative outside."""
        nearest = np.full(np.broadcast_shapes(x.shape, y.shape), np.inf)
        for (x0, y0), (x1, y1) in zip(self.points[:-1], self.points[1:], strict=True):
            length = max((x1 - x0) ** 2 + (y1 - y0) ** 2, 1e-9)
            along = np.clip(((x - x0) * (x1 - x0) + (y - y0) * (y1 - y0)) / length, 0, 1)
            nearest = np.minimum(nearest, np.hypot(x - x0 - along * (x1 - x0), y - y0 - along * (y1 - y0)))
        return self.half_width - nearest

    def greatest_depth(self, left: float, right: float, top: float, bottom: float) -> float:
        """Return a depth that no point of a rectangle exceeds: that of what lies around the line."""
        (x0, y0), (x1, y1) = self.points.min(axis=0), self.points.max(axis=0)
        across, down = max(left - x1, x0 - right, 0.0), max(top - y1, y0 - bottom, 0.0)
        return self.half_width - math.hypot(across, down)


@dataclass(frozen=True)
class Metastasis:
    """A piece of tumour.

    Args:
        kind: ``macro``, ``micro`` or ``itc``.
        outline: of the tumour.
        island: lymphoid tissue that it encloses, or None.
        cell_scale: size of its cells relative to the usual.
        angle: by which its texture is turned.
        shift: of its texture, pixels.
        contrast: share of its colours in what is seen; the rest is the tissue that it grew into.
    """

    kind: str
    outline: Blob
    island: Blob | None
    cell_scale: float
    angle: float
    shift: tuple[float, float]
    contrast: float = 1.0


@dataclass(frozen=True)
class Anatomy:
    """Everything that is seen on a slide.

    Args:
        extent: width and height of the slide.
        node: the lymph node.
        fat: greatest width of fat by angle: Fourier coefficients, and the width.
        layers: depths of capsule, subcapsular sinus and cortex.
        follicles: outlines.
        vessels: outlines of lumina.
        metastases: none on a normal slide.
        folds: folds of the tissue.
        pens: pen marks.
        pale: an area of little stain, or None.
        pale_strength: stain there, relative.
        stain: amount of haematoxylin and eosin on the whole slide, relative.
        shift: of all textures, pixels.
    """

    extent: tuple[float, float]
    node: Blob
    fat: tuple[FloatArray, float]
    layers: tuple[float, float, float]
    follicles: tuple[Blob, ...]
    vessels: tuple[Blob, ...]
    metastases: tuple[Metastasis, ...]
    folds: tuple[Line, ...]
    pens: tuple[Line, ...]
    pale: Blob | None
    pale_strength: float
    stain: tuple[float, float]
    shift: tuple[int, int]


def draw_anatomy(
    rng: np.random.Generator,
    extent: tuple[float, float],
    kind: str | None,
    pen: bool,
    parameters: PhantomParameters,
) -> Anatomy:
    """Draw a slide.

    Args:
        rng: source of randomness.
        extent: width and height of the slide, µm.
        kind: of the metastases, ``macro``, ``micro`` or ``itc``; None for a normal slide.
        pen: whether there are pen marks.
        parameters: how slides vary.

    Raises:
        ValueError: if the slide is too small for what shall be on it.
    """
    shape, artefacts = parameters.node, parameters.artefacts
    node = _node(rng, extent, parameters)
    layers = (shape.capsule.draw(rng), shape.sinus.draw(rng), shape.cortex.draw(rng))
    follicles = _follicles(rng, node, layers, parameters)
    vessels = _vessels(rng, node, layers, parameters)
    folds = (_fold(rng, node, parameters),) if rng.uniform() < artefacts.fold else ()
    pale = _inside(rng, node, 0.45 * min(node.half), 0.2) if rng.uniform() < artefacts.pale_area else None
    strength = artefacts.pale_strength.draw(rng)
    whole = artefacts.pale_strength.draw(rng) if rng.uniform() < artefacts.pale_slide else 1.0
    stain = whole * np.exp(parameters.stain.strength * rng.standard_normal(2))
    pens = _pens(rng, extent, node, parameters)
    shift = (int(rng.integers(4096)), int(rng.integers(4096)))
    fat = (random_outline(rng, 0.55, harmonics=5, decay=0.8), shape.fat.draw(rng))
    # last, so that a slide looks the same with and without
    metastases = () if kind is None else _metastases(rng, kind, node, layers, parameters)
    return Anatomy(
        extent=extent,
        node=node,
        fat=fat,
        layers=layers,
        follicles=follicles,
        vessels=vessels,
        metastases=metastases,
        folds=folds,
        pens=pens if pen else (),
        pale=pale,
        pale_strength=strength,
        stain=(float(stain[0]), float(stain[1])),
        shift=shift,
    )


def _node(rng: np.random.Generator, extent: tuple[float, float], parameters: PhantomParameters) -> Blob:
    shape = parameters.node
    coefficients = random_outline(rng, shape.roughness, harmonics=9, decay=1.1)
    outline = Blob(0.0, 0.0, (1.0, 1.0), coefficients).polygon(720)
    low, high = outline.min(axis=0), outline.max(axis=0)
    half = [shape.filling.draw(rng) * length / (high[i] - low[i]) for i, length in enumerate(extent)]
    # the outline, and not its centre, lies in the middle of the slide
    centre = [length / 2 - half[i] * (high[i] + low[i]) / 2 for i, length in enumerate(extent)]
    return Blob(float(centre[0]), float(centre[1]), (float(half[0]), float(half[1])), coefficients)


def _follicles(
    rng: np.random.Generator, node: Blob, layers: tuple[float, float, float], parameters: PhantomParameters
) -> tuple[Blob, ...]:
    """Place follicles along the cortex."""
    outline = node.polygon(720)
    length = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(outline, axis=0).T))])
    follicles, at = [], float(rng.uniform(0, 200))
    while at < length[-1] - 150:
        place = outline[np.searchsorted(length, at)]
        at += parameters.node.follicle_spacing.draw(rng)
        radius = parameters.node.follicle_radius.draw(rng)
        inwards = np.array([node.x, node.y]) - place
        centre = place + inwards / np.hypot(*inwards) * (layers[1] + 1.25 * radius)
        if rng.uniform() < parameters.node.follicle_share and node.depth(*centre) > radius:
            half = (radius * rng.uniform(0.85, 1.15), radius * rng.uniform(0.85, 1.15))
            follicles.append(Blob(float(centre[0]), float(centre[1]), half, random_outline(rng, 0.06)))
    return tuple(follicles)


def _vessels(
    rng: np.random.Generator, node: Blob, layers: tuple[float, float, float], parameters: PhantomParameters
) -> tuple[Blob, ...]:
    area = np.pi * node.half[0] * node.half[1] / 1e6  # mm²
    vessels = []
    for _ in range(int(rng.poisson(parameters.node.vessels * area))):
        vessel = _inside(rng, node, parameters.node.vessel_radius.draw(rng), 0.15)
        if node.depth(vessel.x, vessel.y) > layers[1] + max(vessel.half):
            vessels.append(vessel)
    return tuple(vessels)


def _inside(rng: np.random.Generator, node: Blob, radius: float, roughness: float) -> Blob:
    """Draw a blob of about a radius with its centre in the node."""
    angle, distance = rng.uniform(0, 2 * np.pi), np.sqrt(rng.uniform(0, 0.8))
    x = node.x + node.half[0] * distance * np.cos(angle)
    y = node.y + node.half[1] * distance * np.sin(angle)
    half = (radius * rng.uniform(0.75, 1.25), radius * rng.uniform(0.75, 1.25))
    return Blob(x, y, half, random_outline(rng, roughness))


def _fold(rng: np.random.Generator, node: Blob, parameters: PhantomParameters) -> Line:
    """Draw a bent line across a part of the node."""
    angle = rng.uniform(0, 2 * np.pi)
    ends = [
        np.array([node.x + 1.1 * node.half[0] * np.cos(a), node.y + 1.1 * node.half[1] * np.sin(a)])
        for a in (angle, angle + rng.uniform(0.7, 2.4))
    ]
    middle = (ends[0] + ends[1]) / 2 + rng.standard_normal(2) * 0.12 * min(node.half)
    return Line(_curve(ends[0], middle, ends[1]), parameters.artefacts.fold_width.draw(rng))


def _pens(
    rng: np.random.Generator, extent: tuple[float, float], node: Blob, parameters: PhantomParameters
) -> tuple[Line, ...]:
    """Draw one or two strokes at the margin of the node: where a pathologist puts them, on the cover slip."""
    ink = list(INKS.values())[int(rng.integers(len(INKS)))]
    width = parameters.artefacts.pen_width.draw(rng)
    strokes = []
    for _ in range(int(rng.integers(1, 3))):
        start, span = rng.uniform(0, 2 * np.pi), rng.uniform(0.4, 1.1)
        angle = start + np.linspace(0, span, 24)
        reach = rng.uniform(0.92, 1.12) + 0.03 * np.cumsum(np.cumsum(rng.standard_normal(24))) / 12
        points = np.stack(
            [node.x + node.half[0] * reach * np.cos(angle), node.y + node.half[1] * reach * np.sin(angle)], axis=1
        )
        strokes.append(Line(np.clip(points, -width, np.array(extent) + width), width, ink))
    return tuple(strokes)


def _curve(start: FloatArray, middle: FloatArray, end: FloatArray, number: int = 24) -> FloatArray:
    """Return points of a quadratic Bézier curve."""
    t = np.linspace(0, 1, number)[:, None]
    return (1 - t) ** 2 * start + 2 * t * (1 - t) * middle + t**2 * end


def _metastases(
    rng: np.random.Generator,
    kind: str,
    node: Blob,
    layers: tuple[float, float, float],
    parameters: PhantomParameters,
) -> tuple[Metastasis, ...]:
    lesions = parameters.lesions
    if kind == "macro":
        blob = _macrometastasis(rng, node, layers[0], parameters)
        island = _inside(rng, blob, 0.16 * min(blob.half), 0.1) if rng.uniform() < lesions.island else None
        return (_metastasis(rng, kind, blob, island, lesions.cell_scale.draw(rng), lesions.contrast),)
    least, most = lesions.micro_count if kind == "micro" else lesions.itc_count
    spread = lesions.micro if kind == "micro" else lesions.itc
    scale = lesions.cell_scale.draw(rng)
    found: list[Metastasis] = []
    wanted = int(rng.integers(least, most + 1))
    for _ in range(400):
        if len(found) == wanted:
            break
        blob = _placed(rng, node, layers, spread.draw(rng), kind, lesions.roughness)
        clear = node.depth(*blob.polygon().T).min() > layers[0] + 4
        apart = all(
            np.hypot(blob.x - other.outline.x, blob.y - other.outline.y)
            > 30 + 0.6 * (blob.extent + other.outline.extent)
            for other in found
        )
        if clear and apart:
            found.append(_metastasis(rng, kind, blob, None, scale, lesions.contrast))
    if not found:
        raise ValueError(
            f"no metastasis of the kind '{kind}' fits into a node of {node.extent / 1000:.2f} mm; make the slides "
            "larger"
        )
    return tuple(found)


def _macrometastasis(rng: np.random.Generator, node: Blob, capsule: float, parameters: PhantomParameters) -> Blob:
    """Draw a metastasis that takes most of the node and spares its capsule."""
    extent = max(MACRO_UM, parameters.lesions.macro.draw(rng) * node.extent)
    for attempt in range(60):
        # what does not fit is tried again with an outline more like that of the node, which fits at any smaller size
        rough = 0.35 * parameters.lesions.roughness * 0.93**attempt
        change = random_outline(rng, rough, harmonics=len(node.coefficients) + 1)
        blob = replace(node, coefficients=node.coefficients + change).of_extent(extent)
        if node.depth(*blob.polygon().T).min() > capsule + 4:
            return blob
    raise ValueError(
        f"a macrometastasis of {extent / 1000:.2f} mm does not fit into a node of {node.extent / 1000:.2f} mm; make "
        "the slides larger, or leave the kind 'macro' out"
    )


def _placed(
    rng: np.random.Generator,
    node: Blob,
    layers: tuple[float, float, float],
    extent: float,
    kind: str,
    roughness: float,
) -> Blob:
    """Draw a lesion where such lesions settle: cells in the sinus and cortex, micrometastases mostly in the cortex."""
    angle = rng.uniform(0, 2 * np.pi)
    edge = node.polygon(720)[int(angle / (2 * np.pi) * 720) % 720]
    inwards = np.array([node.x, node.y]) - edge
    below = layers[0] + 6 + 0.5 * extent + rng.exponential(60.0 if kind == "itc" else 120.0)
    centre = edge + inwards / np.hypot(*inwards) * below
    ratio = rng.uniform(0.75, 1.0)
    half = (1.0, ratio) if rng.uniform() < 0.5 else (ratio, 1.0)
    outline = random_outline(rng, roughness, harmonics=8, decay=1.2)
    return Blob(float(centre[0]), float(centre[1]), half, outline).of_extent(extent)


def _metastasis(
    rng: np.random.Generator, kind: str, outline: Blob, island: Blob | None, cell_scale: float, contrast: float
) -> Metastasis:
    shift = (float(rng.uniform(0, 1024)), float(rng.uniform(0, 1024)))
    return Metastasis(kind, outline, island, cell_scale, float(rng.uniform(0, 2 * np.pi)), shift, contrast)
