"""Pixels of a phantom slide: any region by itself, the same in whatever pieces the slide is drawn."""

from __future__ import annotations

import copy
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from scripts.periodic_texture import look_up, turned_look_up
from scripts.phantom_anatomy import Anatomy, Blob
from scripts.phantom_grid import MARGIN_UM, Grid, Weight
from scripts.phantom_parameters import Stain
from scripts.phantom_textures import noise_texture, tissue_textures
from shared.phantoms.shapes import star_radius
from shared.phantoms.textures import gaussian_random_field

__all__ = ["SlideRenderer"]

FloatArray = NDArray[np.float64]
Floats = NDArray[np.float32]

#: amounts of stain where there is no tissue
NOTHING = np.zeros((2, 1, 1), dtype=np.float32)


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
        grid = Grid(x, y, width, height, self.mpp, self.anatomy.shift)
        glass = np.array(self.stain.glass, dtype=np.float32)[:, None, None]
        node = self.anatomy.node.depth(*grid.points)
        fat = self._fat_depth(node, *grid.points)
        if max(node.max(), fat.max()) + MARGIN_UM > 0:
            amounts = _Amounts(grid, self.anatomy, self.seed, node, fat, self.tears).values
            light = (-self._absorbance.T @ amounts.reshape(2, -1)).reshape(3, height, width)
            np.exp(light, out=light)
            light *= glass
        else:
            light = np.tile(glass, (1, height, width))
        for pen in self.anatomy.pens:
            weight = grid.weight_within(pen, 6.0)
            if weight is not None:
                light *= 1 - (weight * 0.93) * (1 - np.array(pen.ink, dtype=np.float32))[:, None, None]
        noise = noise_texture(self.seed, self.stain.noise)
        light += look_up(noise, x + self.anatomy.shift[1], y, width, height)
        np.rint(light, out=light)
        colours = np.clip(light, 0, 255, out=light).astype(np.uint8)
        return np.ascontiguousarray(colours.transpose(1, 2, 0))

    def with_anatomy(self, anatomy: Anatomy) -> SlideRenderer:
        """Return what draws another anatomy in the same way: stain, textures and noise stay where they are."""
        other = copy.copy(self)
        other.anatomy = anatomy
        return other

    def _fat_depth(self, within_node: FloatArray, x: FloatArray, y: FloatArray) -> FloatArray:
        """Return the depth within the fat around the node: its width varies by angle, and it ends before the slide."""
        node, (coefficients, width) = self.anatomy.node, self.anatomy.fat
        angle = np.arctan2(y - node.y, x - node.x)
        fat = width * (star_radius(angle, coefficients, smallest=0.0) - 0.45)
        room = [0.5 * length - 25 for length in self.anatomy.extent]
        u = np.abs(x - self.anatomy.extent[0] / 2) / room[0]
        v = np.abs(y - self.anatomy.extent[1] / 2) / room[1]
        to_edge = (1 - (u**6 + v**6) ** (1 / 6)) * min(room)
        return np.minimum(within_node + fat, to_edge)


class _Amounts:
    """The amounts of haematoxylin and eosin in a region.

    Args:
        grid: of the region.
        anatomy: what is where.
        seed: of the textures.
        node: depths of the coarse points within the node, µm.
        fat: within the fat around it.
        tears: share of the tissue that is torn.

    Attributes:
        values: the amounts, ``(2, H, W)``.
    """

    def __init__(
        self, grid: Grid, anatomy: Anatomy, seed: int, node: FloatArray, fat: FloatArray, tears: float
    ) -> None:
        self.grid, self.anatomy, self.seed = grid, anatomy, seed
        self.values = np.zeros((2, grid.height, grid.width), dtype=np.float32)
        self._change = np.empty_like(self.values)
        self._textures = tissue_textures(grid.mpp, seed)
        self._ragged = self._field(1, 18.0)  # standard normal, of some tens of µm
        self._lay(grid.weight(fat, 3.0, 6 * self._ragged), "fat")
        self._lay(grid.weight(node, 2.0, 3 * self._ragged), "stroma")
        capsule, sinus, cortex = anatomy.layers
        inner = grid.weight(node - capsule, 2.0, 3 * self._ragged)
        if inner is not None:
            self._lay(inner, "sinus")
            pulp = grid.weight(node - sinus, 3.0, 4 * self._ragged)
            if pulp is not None:
                self._lay(pulp, "lymphoid", 1 + 0.10 * self._field(2, 60.0))
            self._lay_medulla(node - cortex)
            for follicle in anatomy.follicles:
                self._lay_follicle(follicle)
            for vessel in anatomy.vessels:
                wall = 5 + 0.2 * min(vessel.half)
                self._lay(grid.weight_within(vessel, 1.0, deeper_um=-wall), "stroma")
                self._lay(grid.weight_within(vessel, 0.8), NOTHING)
        self._lay_metastases()
        self._spoil(tears)

    def _field(self, number: int, length_um: float) -> Floats:
        return self.grid.field(_random_field(self.seed, number), length_um)

    def _tissue(self, name: str) -> Floats:
        grid, shift = self.grid, self.anatomy.shift
        return look_up(self._textures[name], grid.x + shift[0], grid.y + shift[1], grid.width, grid.height)

    def _lay(self, weight: Weight, layer: str | Floats, density: Floats | np.float32 | None = None) -> None:
        """Lay a tissue, or amounts of stain, over what is there."""
        if weight is None:
            return
        amounts = self._tissue(layer) if isinstance(layer, str) else layer
        if density is not None:
            amounts = np.multiply(amounts, density, out=self._change)
        np.subtract(amounts, self.values, out=self._change)
        if np.ndim(weight) > 0:
            self._change *= weight
        self.values += self._change

    def _lay_medulla(self, depth: FloatArray) -> None:
        """Lay medullary sinuses between cords, deep in the node."""
        deep = self.grid.weight(depth, 80.0)
        if deep is not None:
            cords = np.abs(self._field(3, 45.0))
            between: Floats = np.clip((0.36 - cords) / 0.10, 0, 1)
            self._lay(deep * between, "sinus")

    def _lay_follicle(self, follicle: Blob) -> None:
        outer = self.grid.weight_within(follicle, 14.0)
        if outer is not None:
            self._lay(outer, "lymphoid", np.float32(1.14))
            self._lay(self.grid.weight_within(follicle, 8.0, deeper_um=0.4 * min(follicle.half)), "germinal")

    def _lay_metastases(self) -> None:
        """Lay tumour over the tissue that it grew into."""
        for lesion in self.anatomy.metastases:
            weight = self.grid.weight_within(lesion.outline, 1.5, 1.5 * self._ragged)
            if weight is None:
                continue
            before = self.values.copy() if lesion.contrast < 1 else None
            texture = self._textures["tumour"]
            self._lay(weight, turned_look_up(texture, *self.grid.pixels, lesion.angle, lesion.cell_scale, lesion.shift))
            # lumina and clefts of a moderately differentiated carcinoma
            lumen = np.clip((self._field(5, 13.0) - 1.75) / 0.12, 0, 1)
            self._lay(weight * lumen, NOTHING)
            if lesion.island is not None:
                self._lay(self.grid.weight_within(lesion.island, 1.5, 1.5 * self._ragged), "lymphoid")
            if before is not None:
                self.values[:] = before + np.float32(lesion.contrast) * (self.values - before)

    def _spoil(self, tears: float) -> None:
        """Tear, fold and bleach the tissue."""
        if tears > 0:
            cracks = np.abs(self._field(4, 70.0)) + 0.35 * np.abs(self._field(1, 9.0))
            # |z| below a small value has a probability of 0.8 times that value
            self.values *= np.clip((cracks - 1.1 * tears) / 0.02, 0, 1)
        for fold in self.anatomy.folds:
            weight = self.grid.weight_within(fold, 3.0, 5 * self._field(2, 40.0))
            if weight is not None:
                self.values *= 1 + 0.95 * weight
        if self.anatomy.pale is not None:
            weight = self.grid.weight_within(self.anatomy.pale, 120.0)
            if weight is not None:
                self.values *= 1 - (1 - self.anatomy.pale_strength) * weight


@lru_cache(maxsize=8)
def _random_field(seed: int, number: int) -> Floats:
    """Return a periodic standard normal field ``(1, 512, 512)`` of a correlation length of four pixels."""
    rng = np.random.default_rng([seed, 100 + number])
    return gaussian_random_field((512, 512), 4.0, rng).astype(np.float32)[None]
