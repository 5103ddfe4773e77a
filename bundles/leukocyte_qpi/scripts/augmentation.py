"""Random symmetries of the square: a cell in suspension has no upright orientation."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

from monai.config import KeysCollection
from monai.transforms import MapTransform, Randomizable

from shared.data.symmetry import SYMMETRIES, symmetry

__all__ = ["RandSymmetryd"]


class RandSymmetryd(Randomizable, MapTransform):
    """Turn and flip an image by one of the eight symmetries of the square, each equally likely.

    One draw and one copy instead of MONAI's chain of random flips and rotations with their bookkeeping, which takes
    longer than a training step of a small network.

    Args:
        keys: keys of square image tensors ``(C, N, N)``, all transformed alike.
        allow_missing_keys: whether a record may lack a key.
    """

    def __init__(self, keys: KeysCollection, allow_missing_keys: bool = False) -> None:
        MapTransform.__init__(self, keys, allow_missing_keys)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Transform a record."""
        index = int(self.R.randint(SYMMETRIES))
        transformed = dict(data)
        for key in self.key_iterator(transformed):
            transformed[key] = symmetry(transformed[key], index)
        return transformed
