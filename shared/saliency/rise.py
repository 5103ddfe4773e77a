"""RISE: randomised input sampling for explanation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import nn

from shared.saliency.base import Attribution, ClassMaps
from shared.saliency.baseline import Baseline, baseline_images
from shared.saliency.targets import resolve_classes, resolve_target

__all__ = ["RISE", "random_masks"]


class RISE(Attribution):
    """RISE (Petsiuk, Das and Saenko 2018, arXiv:1806.07421, equation 6).

    ``M_c(i, j) = 1/(p N) sum_n f_c(x * m_n) m_n(i, j)``: the mean score of the images that show the pixel, over N
    random masks. A mask is a grid of s × s cells, each 1 with probability p, upsampled bilinearly to a little more than
    the image and cut out at a random place (section 3.2). What a mask hides shows the baseline, in the paper 0. Every
    channel carries the map. Needs no gradient, and the network runs once on each masked image, however many classes
    are explained.

    Args:
        network: classifier that maps images ``(B, C, H, W)`` to logits ``(B, K)``.
        masks: number N of masks, the same for every image; the paper takes 4,000 to 8,000.
        cells: number s of cells along each side.
        probability: probability p that a cell is shown.
        score: what f_c is: the ``"softmax"`` or ``"sigmoid"`` probability of the class, or its ``"logit"``, whose maps
            are signed.
        baseline: what is shown where the mask hides: a grey value, ``"mean"`` or ``"minimum"`` of each image.
        seed: seed of the masks; the global random state is neither read nor changed.
        chunk_size: largest number of masked images in memory at once.

    Raises:
        ValueError: if a number is out of its range or the score unknown.
    """

    def __init__(
        self,
        network: nn.Module,
        masks: int = 2000,
        cells: int = 8,
        probability: float = 0.5,
        score: Literal["softmax", "sigmoid", "logit"] = "softmax",
        baseline: Baseline = 0.0,
        seed: int = 0,
        chunk_size: int = 64,
    ) -> None:
        super().__init__(network)
        if masks < 1 or cells < 1 or chunk_size < 1:
            raise ValueError(f"masks, cells and chunk_size must be at least 1, found {masks}, {cells} and {chunk_size}")
        if not 0 < probability < 1:
            raise ValueError(f"probability must be between 0 and 1, found {probability}")
        if score not in ("softmax", "sigmoid", "logit"):
            raise ValueError(f"score must be 'softmax', 'sigmoid' or 'logit', found {score!r}")
        self.masks = masks
        self.cells = cells
        self.probability = probability
        self.score = score
        self.baseline = baseline
        self.seed = seed
        self.chunk_size = chunk_size
        self.sign = "signed" if score == "logit" else "positive"

    def _attribute(self, images: torch.Tensor, target: int | torch.Tensor | None) -> torch.Tensor:
        targets = resolve_target(self.predict(images), target)
        return self._means(images, targets[:, None])[:, 0]

    def _attribute_classes(self, images: torch.Tensor, classes: Sequence[int] | None) -> ClassMaps:
        logits = self.predict(images)
        chosen = torch.tensor(resolve_classes(logits, classes), device=images.device)
        return ClassMaps(logits, self._means(images, chosen.expand(len(images), -1)))

    def _means(self, images: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
        """Return the maps ``(B, n, C, H, W)`` of each image's n classes ``(B, n)``."""
        size = images.shape[2], images.shape[3]
        generator = torch.Generator().manual_seed(self.seed)
        # drawn at once and small, so that masks depend neither on the chunks nor on the images
        shown = torch.rand(self.masks, self.cells, self.cells, generator=generator) < self.probability
        places = torch.rand(self.masks, 2, generator=generator)
        baselines = baseline_images(images, self.baseline)
        total = images.new_zeros(*classes.shape, *size)
        for some, at in zip(shown.split(self.chunk_size), places.split(self.chunk_size), strict=True):
            masks = random_masks(some.to(images), at.to(images.device), size)  # (m, H, W)
            for number, (image, start) in enumerate(zip(images, baselines, strict=True)):
                scores = self._scores(torch.lerp(start, image, masks[:, None]))[:, classes[number]]  # (m, n)
                total[number] += torch.einsum("mn,mhw->nhw", scores, masks)
        maps = total / (self.probability * self.masks)
        return maps[:, :, None].repeat(1, 1, images.shape[1], 1, 1)

    def _scores(self, images: torch.Tensor) -> torch.Tensor:
        logits = self.predict(images)
        if self.score == "logit":
            return logits
        return logits.softmax(dim=1) if self.score == "softmax" else logits.sigmoid()


def random_masks(shown: torch.Tensor, places: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Upsample grids bilinearly and cut each out at its place.

    A cell is ``ceil(H / s)`` by ``ceil(W / s)`` pixels; the grid is upsampled to one cell more than s each way, so that
    there is a cell's width of places to cut. Interpolation works along rows and columns apart, so all masks are two
    products of matrices.

    Args:
        shown: grids of 0 and 1, ``(m, s, s)``, of a floating-point type.
        places: where to cut, each way in [0, 1) of a cell, ``(m, 2)``.
        size: height H and width W of the masks.

    Returns:
        Masks in [0, 1], ``(m, H, W)``.
    """
    cells = shown.shape[1]
    sides = []
    for axis, length in enumerate(size):
        cell = -(-length // cells)
        identity = torch.eye(cells, dtype=shown.dtype, device=shown.device)
        upsampling = F.interpolate(identity[None], size=(cells + 1) * cell, mode="linear", align_corners=False)[0].T
        begin = (places[:, axis] * cell).long()  # (m,)
        sides.append(upsampling[begin[:, None] + torch.arange(length, device=shown.device)])  # (m, length, s)
    return torch.einsum("mhs,mst,mwt->mhw", sides[0], shown, sides[1])
