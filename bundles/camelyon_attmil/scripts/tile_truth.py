"""Which share of each tile is tumour."""

from __future__ import annotations

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from scripts.annotations import Annotation

__all__ = ["covered_shares", "tumour_shares"]


def tumour_shares(
    coords: NDArray[np.int64],
    side: float,
    annotation: Annotation | None,
    label: int | None,
    partly_annotated: bool = False,
) -> NDArray[np.float32]:
    """Return the share of each tile that is tumour, by area, exactly; NaN where it is not known.

    Args:
        coords: upper left corners as x, y in pixels of level 0, ``(N, 2)``.
        side: of the tiles in pixels of level 0.
        annotation: of the slide, None if there is none.
        label: of the slide; without an annotation the tiles of a normal slide (0) have a share of 0, all others are not
            known.
        partly_annotated: whether only some of the tumour is outlined: what lies outside of the outlines is not known.

    Returns:
        ``(N,)``.
    """
    if annotation is None:
        return np.full(len(coords), 0.0 if label == 0 else np.nan, dtype=np.float32)
    shares = covered_shares(coords, side, annotation.tumour)
    if partly_annotated:
        shares[shares == 0] = np.nan
    return shares.astype(np.float32)


def covered_shares(coords: NDArray[np.int64], side: float, area: BaseGeometry) -> NDArray[np.float64]:
    """Return the share of each square that lies in an area, ``(N,)``.

    Only squares on the border are cut: one inside has a share of 1, one outside of 0.
    """
    corners = np.asarray(coords, dtype=np.float64)
    squares = shapely.box(corners[:, 0], corners[:, 1], corners[:, 0] + side, corners[:, 1] + side)
    shapely.prepare(area)
    shares = shapely.contains(area, squares).astype(np.float64)
    border = shapely.intersects(area, squares) & (shares == 0)
    shares[border] = shapely.area(shapely.intersection(area, squares[border])) / side**2
    return shares
