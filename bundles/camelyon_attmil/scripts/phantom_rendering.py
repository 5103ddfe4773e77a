"""Pixels of a phantom slide: any region by itself, the same in whatever pieces the slide is drawn."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from scripts.phantom_anatomy import Anatomy, Blob
from scripts.phantom_parameters import Stain
from scripts.phantom_textures import look_up, noise_texture, tissue_textures, turned_look_up
from shared.phantoms.shapes import star_radius
from shared.phantoms.textures import gaussian_random_field

__all__ = ["SlideRenderer"]

FloatArray = NDArray[np.float64]
Floats = NDArray[np.float32]

#: how deep points ``(H, 1)``, ``(1, W)`` lie within something, µm
Depth = Callable[[FloatArray, FloatArray], FloatArray]

#: distance of the points at which outlines are evaluated, µm; between them they are interpolated
PITCH_UM = 4.0
#: how far from an object its outline is still evaluated, µm
MARGIN_UM = 60.0


class SlideRenderer:
    """Draws regions of one slide.

    Tissues are textures of the amounts of haematoxylin and eosin, laid over each other where the anatomy wants them;
    the colour follows from the amounts by the law of Beer and Lambert.

    Args:
        anatomy: what is where.
        mpp: µm per pixel.
        texture_seed: of the textures, which the slides of a data set share, turned and moved.
        stain: colours of the stains.
        colour_shift: relative change of the six absorbances, ``(2, 3)``.
        tears: share of the tissue that is torn.
    """

    def __init__(
        self,
        anatomy: Anatomy,
        mpp: float,
        texture_seed: int,
        stain: Stain,
        colour_shift: FloatArray,
        tears: float = 0.0,
    ) -> None:
        self.anatomy, self.mpp, self.seed, self.stain, self.tears = anatomy, mpp, texture_seed, stain, tears
        amounts = np.array(anatomy.stain)[:, None]
        self._absorbance = (np.array([stain.haematoxylin, stain.eosin]) * (1 + colour_shift) * amounts).astype(
            np.float32
        )

    def __call__(self, x: int, y: int, width: int, height: int) -> NDArray[np.uint8]:
        """Return the pixels of a region, ``(height, width, 3)``."""
        grid = _Grid(x, y, width, height, self.mpp, self.anatomy.shift)
        noise = look_up(noise_texture(self.seed).transpose(2, 0, 1), x + self.anatomy.shift[1], y, width, height)
        light = np.empty((height, width, 3), dtype=np.float32)
        light[:] = np.array(self.stain.glass, dtype=np.float32)
        if grid.any_within(_deeper(self._tissue_depth, -MARGIN_UM)):
            amounts = self._amounts(grid)
            light *= np.exp(-np.einsum("khw,kc->hwc", amounts, self._absorbance, optimize=True))
        for pen in self.anatomy.pens:
            weight = grid.weight(pen.depth, 6.0)
            if weight is not None:
                light *= 1 - (weight * 0.93)[..., None] * (1 - np.array(pen.ink, dtype=np.float32))
        light += self.stain.noise * noise.transpose(1, 2, 0)
        return np.clip(np.rint(light), 0, 255).astype(np.uint8)

    def with_anatomy(self, anatomy: Anatomy) -> SlideRenderer:
        """Return what draws another anatomy in the same way: stain, textures and noise stay where they are."""
        other = copy.copy(self)
        other.anatomy = anatomy
        return other

    def _tissue_depth(self, x: FloatArray, y: FloatArray) -> FloatArray:
        """Return the depth within node or fat, µm."""
        return np.maximum(self.anatomy.node.depth(x, y), self._fat_depth(x, y))

    def _fat_depth(self, x: FloatArray, y: FloatArray) -> FloatArray:
        """Return the depth within the fat around the node: its width varies by angle, and it ends before the slide."""
        node, (coefficients, width) = self.anatomy.node, self.anatomy.fat
        angle = np.arctan2(y - node.y, x - node.x)
        fat = width * (star_radius(angle, coefficients, smallest=0.0) - 0.45)
        room = [0.5 * length - 25 for length in self.anatomy.extent]
        u = np.abs(x - self.anatomy.extent[0] / 2) / room[0]
        v = np.abs(y - self.anatomy.extent[1] / 2) / room[1]
        to_edge = (1 - (u**6 + v**6) ** (1 / 6)) * min(room)
        return np.minimum(node.depth(x, y) + fat, to_edge)

    def _amounts(self, grid: _Grid) -> Floats:
        """Return the amounts of haematoxylin and eosin, ``(2, H, W)``."""
        anatomy, textures = self.anatomy, tissue_textures(self.mpp, self.seed)
        amounts = np.zeros((2, grid.height, grid.width), dtype=np.float32)
        ragged = grid.field(_field(self.seed, 1), 18.0)  # standard normal, of some tens of µm
        capsule, sinus, cortex = anatomy.layers

        def tissue(name: str) -> Floats:
            return look_up(
                textures[name], grid.x + anatomy.shift[0], grid.y + anatomy.shift[1], grid.width, grid.height
            )

        def lay(weight: Floats | None, layer: Floats | Callable[[], Floats]) -> None:
            if weight is not None:
                layer = layer() if callable(layer) else layer
                amounts[:] += weight * (layer - amounts)

        node = anatomy.node
        lay(grid.weight(self._fat_depth, 3.0, 6 * ragged), lambda: tissue("fat"))
        lay(grid.weight(node.depth, 2.0, 3 * ragged), lambda: tissue("stroma"))
        inner = grid.weight(_deeper(node.depth, capsule), 2.0, 3 * ragged)
        if inner is not None:
            lay(inner, lambda: tissue("sinus"))
            pulp = grid.weight(_deeper(node.depth, sinus), 3.0, 4 * ragged)
            density = 1 + 0.10 * grid.field(_field(self.seed, 2), 60.0)
            lay(pulp, lambda: tissue("lymphoid") * density)
            self._lay_medulla(grid, lay, lambda: tissue("sinus"), cortex)
            for follicle in anatomy.follicles:
                self._lay_follicle(grid, lay, follicle, lambda: tissue("lymphoid"), lambda: tissue("germinal"))
            for vessel in anatomy.vessels:
                wall = 5 + 0.2 * min(vessel.half)
                lay(grid.weight(_deeper(vessel.depth, -wall), 1.0), lambda: tissue("stroma"))
                lay(grid.weight(vessel.depth, 0.8), np.zeros((2, 1, 1), dtype=np.float32))
        self._lay_metastases(grid, amounts, lay, ragged, lambda: tissue("lymphoid"))
        self._spoil(grid, amounts)
        return amounts

    def _lay_medulla(self, grid: _Grid, lay: Callable[..., None], tissue: Callable[[], Floats], cortex: float) -> None:
        """Lay medullary sinuses between cords, deep in the node."""
        deep = grid.weight(_deeper(self.anatomy.node.depth, cortex), 80.0)
        if deep is not None:
            cords = np.abs(grid.field(_field(self.seed, 3), 45.0))
            lay(deep * np.clip((0.36 - cords) / 0.10, 0, 1), tissue)

    @staticmethod
    def _lay_follicle(
        grid: _Grid,
        lay: Callable[..., None],
        follicle: Blob,
        mantle: Callable[[], Floats],
        centre: Callable[[], Floats],
    ) -> None:
        outer = grid.weight(follicle.depth, 14.0)
        if outer is not None:
            lay(outer, lambda: mantle() * np.float32(1.14))
            lay(grid.weight(_deeper(follicle.depth, 0.4 * min(follicle.half)), 8.0), centre)

    def _lay_metastases(
        self,
        grid: _Grid,
        amounts: Floats,
        lay: Callable[..., None],
        ragged: Floats,
        lymphoid: Callable[[], Floats],
    ) -> None:
        """Lay tumour over the tissue that it grew into, in place."""
        texture = tissue_textures(self.mpp, self.seed)["tumour"]
        for lesion in self.anatomy.metastases:
            weight = grid.weight(lesion.outline.depth, 1.5, 1.5 * ragged)
            if weight is None:
                continue
            before = amounts.copy() if lesion.contrast < 1 else None
            columns, rows = grid.pixels()
            lay(weight, turned_look_up(texture, columns, rows, lesion.angle, lesion.cell_scale, lesion.shift))
            # lumina and clefts of a moderately differentiated carcinoma
            lumen = np.clip((grid.field(_field(self.seed, 5), 13.0) - 1.75) / 0.12, 0, 1)
            lay(weight * lumen, np.zeros((2, 1, 1), dtype=np.float32))
            if lesion.island is not None:
                lay(grid.weight(lesion.island.depth, 1.5, 1.5 * ragged), lymphoid)
            if before is not None:
                amounts[:] = before + np.float32(lesion.contrast) * (amounts - before)

    def _spoil(self, grid: _Grid, amounts: Floats) -> None:
        """Tear, fold and bleach the tissue, in place."""
        anatomy = self.anatomy
        if self.tears > 0:
            cracks = np.abs(grid.field(_field(self.seed, 4), 70.0)) + 0.35 * np.abs(
                grid.field(_field(self.seed, 1), 9.0)
            )
            # |z| below a small value has a probability of 0.8 times that value
            amounts *= np.clip((cracks - 1.1 * self.tears) / 0.02, 0, 1)
        for fold in anatomy.folds:
            weight = grid.weight(fold.depth, 3.0, 5 * grid.field(_field(self.seed, 2), 40.0))
            if weight is not None:
                amounts *= 1 + 0.95 * weight
        if anatomy.pale is not None:
            weight = grid.weight(anatomy.pale.depth, 120.0)
            if weight is not None:
                amounts *= 1 - (1 - anatomy.pale_strength) * weight


class _Grid:
    """The pixels of a region, and the coarse points at which outlines are evaluated for them."""

    def __init__(self, x: int, y: int, width: int, height: int, mpp: float, shift: tuple[int, int]) -> None:
        self.shift = shift
        self.x, self.y, self.width, self.height, self.mpp = x, y, width, height, mpp
        pitch = max(1, round(PITCH_UM / mpp))
        self._columns, self._across = _points(x, width, pitch)
        self._rows, self._down = _points(y, height, pitch)
        self._gx = ((self._columns + 0.5) * mpp)[None, :]
        self._gy = ((self._rows + 0.5) * mpp)[:, None]

    def any_within(self, depth: Depth) -> bool:
        """Return whether a depth is positive anywhere here."""
        return bool((depth(self._gx, self._gy) > 0).any())

    def weight(self, depth: Depth, soft_um: float, offset: Floats | None = None) -> Floats | None:
        """Return 1 within an outline, 0 outside, linear over ``soft_um`` between, ``(H, W)``; None if 0 everywhere."""
        coarse = depth(self._gx, self._gy)
        if coarse.max() < -MARGIN_UM - soft_um:
            return None
        fine = self._fine(coarse)
        if offset is not None:
            fine = fine + offset
        weight = np.clip(fine / np.float32(soft_um) + np.float32(0.5), 0, 1)
        return weight if weight.any() else None

    def field(self, texture: Floats, length_um: float) -> Floats:
        """Return a periodic random field of a correlation length, ``(H, W)``, four of its pixels long."""
        pitch = length_um / 4
        gx, gy = np.broadcast_arrays(self._gx, self._gy)
        return self._fine(turned_look_up(texture, gx / pitch, gy / pitch, 0.0, 1.0, self.shift)[0])

    def pixels(self) -> tuple[FloatArray, FloatArray]:
        """Return the pixels' columns and rows on the slide, both ``(H, W)``."""
        rows, columns = np.mgrid[self.y : self.y + self.height, self.x : self.x + self.width]
        return columns.astype(np.float64), rows.astype(np.float64)

    def _fine(self, coarse: NDArray[np.floating]) -> Floats:
        return self._down @ coarse.astype(np.float32) @ self._across.T


def _deeper(depth: Depth, by: float) -> Depth:
    """Return the depth below a surface that lies deeper."""
    return lambda x, y: depth(x, y) - by


def _points(start: int, length: int, pitch: int) -> tuple[FloatArray, Floats]:
    """Return P coarse positions around pixels from ``start`` on, and the matrix ``(length, P)`` between them."""
    first = start // pitch
    number = (start + length - 1) // pitch - first + 2
    where = np.arange(start, start + length) / pitch - first
    lower = np.floor(where).astype(np.int64)
    matrix = np.zeros((length, number), dtype=np.float32)
    matrix[np.arange(length), lower] = 1 - (where - lower)
    matrix[np.arange(length), lower + 1] = where - lower
    return np.asarray((first + np.arange(number)) * pitch, dtype=np.float64), matrix


@lru_cache(maxsize=8)
def _field(seed: int, number: int) -> Floats:
    """Return a periodic standard normal field ``(1, 512, 512)`` of a correlation length of four pixels."""
    rng = np.random.default_rng([seed, 100 + number])
    return gaussian_random_field((512, 512), 4.0, rng).astype(np.float32)[None]
