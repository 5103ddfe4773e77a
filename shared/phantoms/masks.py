"""Truth images: several named masks in the bits of one integer image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["TruthBits"]


@dataclass(frozen=True)
class TruthBits:
    """Names of the bits of a truth image, the lowest bit first.

    Args:
        names: at most eight different names.

    Raises:
        ValueError: if there are more than eight names or one twice.

    Example:
        >>> bits = TruthBits(("cell", "nucleus"))
        >>> image = bits.encode({"cell": [[True, True]], "nucleus": [[False, True]]})
        >>> image.tolist(), bits.decode(image, "nucleus").tolist()
        ([[1, 3]], [[False, True]])
    """

    names: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(set(self.names)) != len(self.names) or len(self.names) > 8:
            raise ValueError(f"a truth image holds at most eight different names, found {list(self.names)}")

    def value(self, name: str) -> int:
        """Return the value of one bit (1, 2, 4 and so on).

        Raises:
            ValueError: if there is no bit of that name.
        """
        if name not in self.names:
            raise ValueError(f"no truth mask is called '{name}'; choose one of {list(self.names)}")
        return 1 << self.names.index(name)

    def encode(self, masks: Mapping[str, ArrayLike]) -> NDArray[np.uint8]:
        """Return the truth image of the given masks, all of one shape; masks that are left out are empty."""
        arrays = {name: np.asarray(mask, dtype=bool) for name, mask in masks.items()}
        if not arrays:
            raise ValueError("no masks given; the shape of the truth image is not known")
        image = np.zeros(next(iter(arrays.values())).shape, dtype=np.uint8)
        for name, mask in arrays.items():
            if mask.shape != image.shape:
                raise ValueError(f"mask '{name}' has shape {mask.shape}, the masks before it {image.shape}")
            image |= np.where(mask, np.uint8(self.value(name)), np.uint8(0))
        return image

    def decode(self, image: ArrayLike, name: str) -> NDArray[np.bool_]:
        """Return one mask of a truth image, as booleans of the image's shape."""
        return (np.asarray(image) & self.value(name)) != 0
