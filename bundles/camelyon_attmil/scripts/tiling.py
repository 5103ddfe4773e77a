"""The grid of tiles over a slide's tissue."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scripts.slide import TileGeometry
from scripts.tissue import TissueMask
from shared.data.number_range import COUNT, POSITIVE, SHARE

__all__ = ["Tiling", "mask_shares"]


@dataclass(frozen=True)
class Tiling:
    """Chooses the tiles of a slide: a regular grid from its upper left corner, where there is enough tissue.

    Args:
        stride: distance of neighbouring tiles relative to their side; 1 tiles without overlap, 0.5 by half.
        tissue_share: least share of a tile that is tissue, above 0.
        block: tiles come in blocks of ``block × block`` of the grid, so that what several tiles share of the slide's
            own compressed tiles is decoded once.

    Raises:
        DataError: if a value is out of range.
    """

    stride: float = 1.0
    tissue_share: float = 0.25
    block: int = 8

    def __post_init__(self) -> None:
        POSITIVE.check("stride", self.stride)
        SHARE.check("tissue_share", self.tissue_share)
        COUNT.check("block", self.block)

    def __call__(self, size: tuple[int, int], geometry: TileGeometry, tissue: TissueMask) -> NDArray[np.int64]:
        """Return the upper left corners of the tiles, ``(N, 2)`` as x, y in pixels of level 0.

        Tiles lie wholly within the slide.

        Args:
            size: width and height of level 0 in pixels.
            geometry: of the tiles.
            tissue: of the slide.
        """
        side = geometry.level0_tile_size
        step = max(1, round(side * self.stride))
        xs, ys = (np.arange(0, max(0, length - side) + 1, step, dtype=np.int64) for length in size)
        if min(size) < side:
            return np.empty((0, 2), dtype=np.int64)
        shares = mask_shares(tissue.mask, tissue.downsample, xs, ys, side)  # (len(ys), len(xs))
        rows, columns = np.nonzero(shares >= self.tissue_share)
        order = np.lexsort((columns, rows, columns // self.block, rows // self.block))
        return np.stack([xs[columns[order]], ys[rows[order]]], axis=1)


def mask_shares(
    mask: NDArray[np.bool_], downsample: float, xs: NDArray[np.int64], ys: NDArray[np.int64], side: float
) -> NDArray[np.float64]:
    """Return which share of each square of a grid a mask covers, exactly, from the integral of the mask.

    Args:
        mask: ``(H, W)``; one of its pixels spans ``downsample`` units along each axis.
        downsample: see above.
        xs: left edges of the squares, ``(C,)``.
        ys: upper edges, ``(R,)``.
        side: of the squares, in the same unit.

    Returns:
        ``(R, C)``; what lies beyond the mask counts as not covered.

    Example:
        >>> mask = np.array([[True, False], [False, False]])
        >>> mask_shares(mask, 2.0, np.array([0, 1]), np.array([0]), 2).tolist()
        [[1.0, 0.5]]
    """
    integral = np.zeros((mask.shape[0] + 1, mask.shape[1] + 1))
    integral[1:, 1:] = mask.cumsum(axis=0, dtype=np.float64).cumsum(axis=1)
    rows = _at(integral, (ys + side) / downsample) - _at(integral, ys / downsample)  # (R, W + 1)
    squares = _at(rows.T, (xs + side) / downsample) - _at(rows.T, xs / downsample)  # (C, R)
    return squares.T / (side / downsample) ** 2


def _at(values: NDArray[np.float64], positions: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return rows of ``(L + 1, K)`` at positions between them, ``(P, K)``, linearly; beyond the ends, the last row."""
    clipped = np.clip(positions, 0, len(values) - 1)
    lower = np.minimum(clipped.astype(np.int64), len(values) - 2)
    upper_share = (clipped - lower)[:, None]
    return values[lower] * (1 - upper_share) + values[lower + 1] * upper_share
