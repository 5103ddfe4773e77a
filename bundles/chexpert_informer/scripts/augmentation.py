"""Random changes of a training image: affine and rotation, box blur, crop (Shu et al., section 3).

The paper names the four and no numbers; those here are small enough to leave a chest a chest. No flip: a chest has its
heart on the left.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
from monai.config import KeysCollection
from monai.transforms import Compose, MapTransform, RandAffined, RandomizableTransform, ToTensord
from torch.nn import functional as F

from scripts.draws import box_blur

__all__ = ["RandBoxBlurd", "RandPaddedCropd", "augmentation"]


class RandBoxBlurd(RandomizableTransform, MapTransform):
    """Average an image over a square of random side, by chance; MONAI's mean filter takes odd sides of one size.

    Args:
        keys: keys of images ``(C, H, W)``, all blurred alike.
        sides: smallest and largest side of the square, pixels.
        prob: probability of any blur.
        allow_missing_keys: whether a record may lack a key.
    """

    def __init__(
        self,
        keys: KeysCollection,
        sides: tuple[int, int] = (2, 5),
        prob: float = 0.3,
        allow_missing_keys: bool = False,
    ) -> None:
        MapTransform.__init__(self, keys, allow_missing_keys)
        RandomizableTransform.__init__(self, prob)
        if not 1 <= sides[0] <= sides[1]:
            raise ValueError(f"sides must be at least 1 and rise, found {list(sides)}")
        self.sides = (int(sides[0]), int(sides[1]))

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Transform a record."""
        transformed = dict(data)
        self.randomize(None)
        side = int(self.R.randint(self.sides[0], self.sides[1] + 1))
        if self._do_transform:
            for key in self.key_iterator(transformed):
                transformed[key] = box_blur(transformed[key][None], side)[0]
        return transformed


class RandPaddedCropd(RandomizableTransform, MapTransform):
    """Crop an image to its own size from itself with zeros around: an even shift; MONAI's crops need a fixed size.

    Args:
        keys: keys of images ``(C, H, W)``, all shifted alike.
        padding: zeros on each side, pixels.
        prob: probability of a crop.
        allow_missing_keys: whether a record may lack a key.
    """

    def __init__(
        self, keys: KeysCollection, padding: int = 8, prob: float = 1.0, allow_missing_keys: bool = False
    ) -> None:
        MapTransform.__init__(self, keys, allow_missing_keys)
        RandomizableTransform.__init__(self, prob)
        if padding < 0:
            raise ValueError(f"padding must not be negative, found {padding}")
        self.padding = padding

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Transform a record."""
        transformed = dict(data)
        self.randomize(None)
        down, right = self.R.randint(-self.padding, self.padding + 1, 2).tolist()
        if self._do_transform:
            for key in self.key_iterator(transformed):
                transformed[key] = F.pad(transformed[key], (right, -right, down, -down))  # negative padding cuts
        return transformed


def augmentation(
    keys: KeysCollection = "image",
    rotation: float = 10.0,
    shift: float = 0.05,
    scale: float = 0.10,
    shear: float = 0.05,
    affine_prob: float = 0.8,
    blur_sides: tuple[int, int] = (2, 5),
    blur_prob: float = 0.3,
    padding: int = 8,
    image_size: int = 320,
) -> Compose:
    """Return the training's random transforms. Affine and rotation are one interpolation; outside is 0.

    Args:
        keys: keys of images ``(1, S, S)``.
        rotation: largest angle, degrees.
        shift: largest shift, share of the side.
        scale: largest relative change of size.
        shear: largest shear.
        affine_prob: probability of these four.
        blur_sides: smallest and largest side of the box blur, pixels.
        blur_prob: probability of it.
        padding: of the crop, pixels.
        image_size: S, for ``shift``.
    """
    reach = shift * image_size
    return Compose(
        [
            RandAffined(
                keys,
                prob=affine_prob,
                rotate_range=float(np.deg2rad(rotation)),
                translate_range=(reach, reach),
                scale_range=(scale, scale),
                shear_range=(shear, shear),
                mode="bilinear",
                padding_mode="zeros",
            ),
            ToTensord(keys, track_meta=False),
            RandBoxBlurd(keys, blur_sides, blur_prob),
            RandPaddedCropd(keys, padding),
        ]
    )
