"""From one value per tile to a map of the slide: exact where tiles overlap, empty where there is none."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shared.data.errors import DataError

__all__ = ["HeatMap", "TileGrid"]

#: by which neighbouring tiles may overlap or gape since their coordinates are rounded, pixels of level 0
ROUNDING_PX = 1.0
#: cells of a grid, and cells that all tiles together cover
MOST_CELLS = 40_000_000


@dataclass(frozen=True)
class HeatMap:
    """Values over a slide, constant in each cell of a grid whose lines are the edges of tiles.

    Args:
        x_edges: of the cells, ascending, pixels of level 0, ``(C + 1,)``.
        y_edges: ``(R + 1,)``.
        values: of the cells, ``(R, C)``, NaN where there is no tile.
    """

    x_edges: NDArray[np.float64]
    y_edges: NDArray[np.float64]
    values: NDArray[np.float64]

    def at(self, xs: ArrayLike, ys: ArrayLike) -> NDArray[np.float64]:
        """Return the values where columns at ``xs`` ``(w,)`` cross rows at ``ys`` ``(h,)``, ``(h, w)``.

        Args:
            xs: pixels of level 0. A point on the line between two cells belongs to the right (lower) one.
            ys: see above.
        """
        columns, inside_x = _cells_of(self.x_edges, xs)
        rows, inside_y = _cells_of(self.y_edges, ys)
        found = self.values[np.ix_(rows, columns)]
        found[~np.logical_and.outer(inside_y, inside_x)] = np.nan
        return found

    def raster(
        self, downsample: float, shape: tuple[int, int], origin: tuple[int, int] = (0, 0)
    ) -> NDArray[np.float64]:
        """Return the values at the centres of a picture's pixels, ``(h, w)``.

        Args:
            downsample: pixels of level 0 that a pixel of the picture spans along each axis; need not be whole.
            shape: height and width of what is returned.
            origin: its first column and row in the picture, whose own corner is that of the slide.
        """
        columns, rows = (first + np.arange(length) + 0.5 for first, length in zip(origin, shape[::-1], strict=True))
        return self.at(columns * downsample, rows * downsample)

    @property
    def areas(self) -> NDArray[np.float64]:
        """Areas of the cells, ``(R, C)``, square pixels of level 0."""
        return np.multiply.outer(np.diff(self.y_edges), np.diff(self.x_edges))


class TileGrid:
    """The cells that the edges of a slide's tiles divide it into; made once, for maps of any values of the tiles.

    Tiles on a regular grid without overlap are the cells. With a stride each tile covers several cells; a cell's value
    is the mean over all tiles that cover it, at every point of the slide that is their exact mean. Tiles may lie
    anywhere: grids that begin anew in each piece of tissue, as CLAM's do, are exact too.

    Args:
        coords: upper left corners of the tiles as x, y in pixels of level 0, ``(N, 2)``.
        side: of the tiles, pixels of level 0; need not be whole.
        size: width and height of the slide, at whose border tiles end; None if not known.

    Raises:
        DataError: if there is no tile, a side is not positive, a tile lies outside of the slide, or the corners lie in
            so many columns and rows that they are no tiles of a slide.

    Example:
        >>> grid = TileGrid(np.array([[0, 0], [2, 0]]), 4)
        >>> grid.heat_map([1.0, 5.0]).values.tolist()
        [[1.0, 3.0, 5.0]]
    """

    def __init__(self, coords: NDArray[np.integer], side: float, size: tuple[int, int] | None = None) -> None:
        corners = np.asarray(coords, dtype=np.float64)
        if corners.ndim != 2 or corners.shape[1:] != (2,) or len(corners) == 0 or not side > 0:
            raise DataError(
                f"a heat-map needs corners (N, 2) of tiles with a positive side, found {corners.shape} and a side of "
                f"{side}; extract the features again"
            )
        self.tiles = len(corners)
        axes = [_Axis(corners[:, axis], side, None if size is None else size[axis]) for axis in (0, 1)]
        (self._x, self._y), (columns, rows) = axes, (axis.last - axis.first for axis in axes)
        self.shape = len(self._y.edges) - 1, len(self._x.edges) - 1
        covered = columns * rows
        if max(self.shape[0] * self.shape[1], int(covered.sum())) > MOST_CELLS:
            raise DataError(
                f"the corners of {self.tiles} tiles lie in {len(np.unique(corners[:, 0]))} columns and "
                f"{len(np.unique(corners[:, 1]))} rows, which is no grid of tiles; extract the features again"
            )
        # all pairs of a tile and a cell that it covers
        self._tile = np.repeat(np.arange(self.tiles), covered)
        within = np.arange(len(self._tile)) - np.repeat(np.cumsum(covered) - covered, covered)
        row = self._y.first[self._tile] + within // columns[self._tile]
        column = self._x.first[self._tile] + within % columns[self._tile]
        self._cell = row * self.shape[1] + column
        self._tiles_of_cell = np.bincount(self._cell, minlength=self.shape[0] * self.shape[1])

    def heat_map(self, values: ArrayLike) -> HeatMap:
        """Return the map of values of the tiles, ``(N,)``.

        Raises:
            ValueError: if there is not one finite value for each tile.
        """
        given = np.asarray(values, dtype=np.float64)
        if given.shape != (self.tiles,) or not np.isfinite(given).all():
            raise ValueError(f"expected {self.tiles} finite values, found shape {given.shape} or NaN or infinity")
        total = np.bincount(self._cell, given[self._tile], minlength=len(self._tiles_of_cell))
        with np.errstate(invalid="ignore"):
            mean = total / self._tiles_of_cell  # 0 / 0 is NaN: no tile
        return HeatMap(self._x.edges, self._y.edges, mean.reshape(self.shape))


class _Axis:
    """One axis of a grid.

    Attributes:
        edges: of the cells, ascending.
        first: cell in which each tile begins, ``(N,)``.
        last: cell before which each tile ends, ``(N,)``.
    """

    def __init__(self, starts: NDArray[np.float64], side: float, length: int | None) -> None:
        own = np.unique(starts)
        if length is not None and (own[0] < 0 or own[-1] >= length):
            raise DataError(
                f"a tile begins at {own[0] if own[0] < 0 else own[-1]:g}, outside of the slide of {length} pixels; the "
                "coordinates must be pixels of level 0 of this slide"
            )
        ends = own + side
        if len(own) > 1 and np.diff(own).min() >= side - ROUNDING_PX:
            # tiles that are not meant to overlap: where one ends and its neighbour begins is one line
            nearest = _nearest(own, ends)
            ends = np.where(np.abs(nearest - ends) <= ROUNDING_PX, nearest, ends)
        if length is not None:
            ends = np.minimum(ends, length)
        self.edges = np.unique(np.concatenate([own, ends]))
        place = np.searchsorted(own, starts)
        self.first = np.searchsorted(self.edges, own)[place]
        self.last = np.searchsorted(self.edges, ends)[place]


def _nearest(known: NDArray[np.float64], wanted: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return for each of ``wanted`` the nearest of the ascending ``known``."""
    above = np.clip(np.searchsorted(known, wanted), 0, len(known) - 1)
    below = np.maximum(above - 1, 0)
    return np.where(wanted - known[below] < known[above] - wanted, known[below], known[above])


def _cells_of(edges: NDArray[np.float64], positions: ArrayLike) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Return the cell of each position, and whether it lies in one."""
    points = np.asarray(positions, dtype=np.float64)
    cells = np.searchsorted(edges, points, side="right") - 1
    inside = (cells >= 0) & (cells < len(edges) - 1)
    return np.clip(cells, 0, len(edges) - 2), inside
