"""The eight symmetries of the square: cells in suspension or on a smear have no upright orientation."""

from __future__ import annotations

import torch

__all__ = ["SYMMETRIES", "symmetry"]

SYMMETRIES = 8


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
