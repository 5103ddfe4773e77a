"""Random symmetries of the square: a cell in suspension has no upright orientation."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, Randomizable

__all__ = ["RandSymmetryd", "symmetry"]


def symmetry(image: torch.Tensor, index: int) -> torch.Tensor:
    """Apply one of the eight symmetries of the square to the last two dimensions.

    Args:
        image: ``(…, N, N)``.
        index: 0 (identity) to 7; the lowest two bits are quarter turns, the third is a flip before them.

    Returns:
        The image turned and flipped, ``(…, N, N)``.

    Example:
        >>> symmetry(torch.tensor([[0, 1], [2, 3]]), 1)
        tensor([[1, 3],
                [0, 2]])
    """
    flipped = image.flip(-1) if index & 4 else image
    return torch.rot90(flipped, index & 3, (-2, -1)).contiguous()


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
        index = int(self.R.randint(8))
        transformed = dict(data)
        for key in self.key_iterator(transformed):
            transformed[key] = symmetry(transformed[key], index)
        return transformed
