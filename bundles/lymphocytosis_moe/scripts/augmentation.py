"""Random subsets of a patient's images, their symmetries and colours, each image drawn by itself, all at once."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, Randomizable

from scripts.input_statistics import InputStatistics
from shared.data.symmetry import SYMMETRIES, symmetry

__all__ = ["RandBagColourd", "RandBagShiftd", "RandBagSubsetd", "RandBagSymmetryd"]


class RandBagSubsetd(Randomizable, MapTransform):
    """Keep a random subset of a bag's images, drawn without replacement; a smaller bag stays whole.

    An estimate of the mean over all cells from some of them differs between epochs, so that a network with few patients
    cannot learn each by heart, and an epoch costs no more than the images that it looks at. The paper takes all images
    (Sahasrabudhe et al. 2020, section 2.4), which is ``images=None``.

    Args:
        keys: keys with one entry per image ``(N, ...)``, tensors or lists; the same images are kept under all.
        images: the number of images that are kept; ``None`` keeps all.
        allow_missing_keys: whether a record may lack a key.

    Raises:
        ValueError: if ``images`` is below 1.
    """

    def __init__(self, keys: KeysCollection, images: int | None = None, allow_missing_keys: bool = False) -> None:
        MapTransform.__init__(self, keys, allow_missing_keys)
        if images is not None and images < 1:
            raise ValueError(f"images must be at least 1, or None for all of a patient, found {images}")
        self.images = images

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Transform a record."""
        transformed = dict(data)
        kept: np.ndarray | None = None
        for key in self.key_iterator(transformed):
            bag = transformed[key]
            if self.images is None or len(bag) <= self.images:
                continue
            if kept is None:
                kept = np.sort(self.R.choice(len(bag), self.images, replace=False))
            transformed[key] = bag[torch.from_numpy(kept)] if isinstance(bag, torch.Tensor) else [bag[i] for i in kept]
        return transformed


class RandBagSymmetryd(Randomizable, MapTransform):
    """Turn and flip each image of a bag by one of the eight symmetries of the square, each equally likely.

    The same distribution as a random flip along each axis followed by a random number of quarter turns
    (Sahasrabudhe et al. 2020, section 2.4): each symmetry comes up in two of the sixteen ways.

    Args:
        keys: keys of bags of square images ``(N, C, H, H)``, all transformed alike.
        allow_missing_keys: whether a record may lack a key.
    """

    def __init__(self, keys: KeysCollection, allow_missing_keys: bool = False) -> None:
        MapTransform.__init__(self, keys, allow_missing_keys)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Transform a record."""
        transformed = dict(data)
        drawn: np.ndarray | None = None
        for key in self.key_iterator(transformed):
            bag = transformed[key]
            if drawn is None:
                drawn = self.R.randint(SYMMETRIES, size=len(bag))
            result = torch.empty_like(bag)
            for index in range(SYMMETRIES):
                chosen = torch.from_numpy(np.flatnonzero(drawn == index))
                result[chosen] = symmetry(bag[chosen], index)
            transformed[key] = result
        return transformed


class RandBagShiftd(Randomizable, MapTransform):
    """Shift each image by a whole number of pixels along both axes, each shift up to the largest equally likely.

    What comes in from outside repeats the pixel at the border. With a field of view that is smaller than the image by
    twice the largest shift, nothing of the border is seen.

    Args:
        keys: keys of bags of images ``(N, C, H, W)``, all shifted alike.
        pixels: the largest shift; with 0 nothing is done.
        allow_missing_keys: whether a record may lack a key.

    Raises:
        ValueError: if ``pixels`` is negative.
    """

    def __init__(self, keys: KeysCollection, pixels: int = 0, allow_missing_keys: bool = False) -> None:
        MapTransform.__init__(self, keys, allow_missing_keys)
        if pixels < 0:
            raise ValueError(f"pixels must not be negative, found {pixels}")
        self.pixels = pixels

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Transform a record."""
        transformed = dict(data)
        shifts: torch.Tensor | None = None
        for key in self.key_iterator(transformed):
            bag = transformed[key]
            if self.pixels == 0:
                continue
            if shifts is None:
                drawn = self.R.randint(-self.pixels, self.pixels + 1, size=(len(bag), 2, 1))
                shifts = torch.from_numpy(drawn)
            count, _, height, width = bag.shape
            rows = (torch.arange(height) - shifts[:, 0]).clamp(0, height - 1)  # (N, H)
            columns = (torch.arange(width) - shifts[:, 1]).clamp(0, width - 1)  # (N, W)
            images = torch.arange(count)[:, None, None]
            last = bag.movedim(1, 3)[images, rows[:, :, None], columns[:, None, :]]  # (N, H, W, C)
            transformed[key] = last.movedim(3, 1).contiguous()
        return transformed


class RandBagColourd(Randomizable, MapTransform):
    """Shift the colour of each image along the principal components of the training images' colours.

    Equation 19 of Sahasrabudhe et al. 2020 (after Krizhevsky et al. 2012): ``Σ_k α_k λ_k e_k`` is added to every
    pixel, with eigenvalues λ and eigenvectors e of the covariance of RGB values, and ``α_k ~ N(0, σ²)`` drawn for each
    image. λ has the square of the pixels' unit, so the shift depends on the scale: here it is [0, 1], on which it is
    small. With the eigenvalues 0.0894, 0.0010 and 0.0001 of a set of real patients and σ = 0.1, the standard deviation
    of the shift along the first component is 0.009, or 2.3 grey levels of 255: between 1 and 2 grey levels in each
    colour. Nothing is clipped.

    Args:
        keys: keys of bags of images ``(N, 3, H, W)``: ``uint8``, or floats in [0, 1]. They become floats.
        statistics: of the training images.
        strength: σ; the paper's is 0.1. With 0 the images only become floats.
        allow_missing_keys: whether a record may lack a key.
    """

    def __init__(
        self,
        keys: KeysCollection,
        statistics: InputStatistics,
        strength: float = 0.1,
        allow_missing_keys: bool = False,
    ) -> None:
        MapTransform.__init__(self, keys, allow_missing_keys)
        if strength < 0:
            raise ValueError(f"strength must not be negative, found {strength}")
        self.directions = (statistics.eigenvectors * statistics.eigenvalues).T.contiguous()  # (3 components, 3 colours)
        self.strength = strength

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Transform a record."""
        transformed = dict(data)
        for key in self.key_iterator(transformed):
            bag = transformed[key]
            alpha = torch.from_numpy(self.R.normal(0.0, self.strength, size=(len(bag), 3))).float()
            shift = (alpha @ self.directions)[:, :, None, None]  # (N, 3, 1, 1)
            floats = bag.float().div_(255) if bag.dtype == torch.uint8 else bag.clone()
            transformed[key] = floats.add_(shift)
        return transformed
