"""The tiles that speak most for and against tumour: chosen apart from each other, read from the slide, as pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scripts.explained_slide import ExplainedSlide
from scripts.heat_map_picture import Mark
from shared.data.errors import DataError

__all__ = ["TileGallery", "choose_apart"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class TileGallery:
    """Ranked tiles of one slide.

    Args:
        highest: indices of the tiles with the highest values, in falling order.
        lowest: of those with the lowest, in rising order; none of them among ``highest``.
        values: of all tiles, ``(N,)``.
    """

    highest: NDArray[np.intp]
    lowest: NDArray[np.intp]
    values: Floats

    @classmethod
    def of(cls, coords: NDArray[np.int64], side: float, values: Floats, number: int) -> TileGallery:
        """Choose tiles that do not overlap.

        Args:
            coords: upper left corners, pixels of level 0, ``(N, 2)``.
            side: of the tiles, pixels of level 0.
            values: ``(N,)``.
            number: of tiles on each side, at most.
        """
        falling = np.argsort(-values, kind="stable")
        highest = choose_apart(coords, side, falling, number)
        # a slide of few tiles shows none of them twice
        rising = falling[::-1][~np.isin(falling[::-1], highest)]
        return cls(highest, choose_apart(coords, side, rising, number), values)

    def marks(self, slide: ExplainedSlide) -> list[Mark]:
        """Return rings around the tiles, named as in :meth:`entries`."""
        middles = (slide.bag.coords + slide.side / 2).tolist()
        return [
            Mark(middles[tile][0], middles[tile][1], name)
            for side in ("highest", "lowest")
            for tile, name in zip(getattr(self, side).tolist(), self.names(side), strict=True)
        ]

    def names(self, side: str) -> list[str]:
        """Return what the tiles of one side are called: ``highest`` +1, +2 and so on, ``lowest`` −1, −2 and so on."""
        sign = {"highest": "+", "lowest": "\N{MINUS SIGN}"}[side]
        return [f"{sign}{number + 1}" for number in range(len(getattr(self, side)))]

    def entries(
        self, slide: ExplainedSlide, save: Callable[[str, NDArray[np.uint8]], str]
    ) -> dict[str, list[dict[str, Any]]]:
        """Read the tiles and return what the index says of them, ``highest`` and ``lowest``.

        A tile that cannot be read has no picture, and the reason.

        Args:
            slide: whose tiles they are.
            save: writes a picture under a name and returns its path in the index.
        """
        rank = np.empty(len(self.values), dtype=np.intp)
        rank[np.argsort(-self.values, kind="stable")] = np.arange(1, len(self.values) + 1)
        truth = slide.bag.tile_label
        entries: dict[str, list[dict[str, Any]]] = {}
        for side in ("highest", "lowest"):
            entries[side] = []
            for name, tile in zip(self.names(side), getattr(self, side).tolist(), strict=True):
                x, y = slide.bag.coords[tile].tolist()
                entry = {"id": name, "rank": int(rank[tile]), "value": float(self.values[tile]), "x": x, "y": y}
                share = np.nan if truth is None else float(truth[tile])
                entry["tumour_share"] = None if np.isnan(share) else share
                entries[side].append({**entry, **_picture(slide, tile, f"tile_{side}_{len(entries[side]) + 1}", save)})
        return entries


def _picture(
    slide: ExplainedSlide, tile: int, name: str, save: Callable[[str, NDArray[np.uint8]], str]
) -> Mapping[str, Any]:
    try:
        return {"image_png": save(name, slide.read_tile(tile))}
    except DataError as error:
        return {"image_png": None, "reason": str(error)}


def choose_apart(coords: NDArray[np.int64], side: float, order: NDArray[np.intp], number: int) -> NDArray[np.intp]:
    """Return the first tiles of an order that do not overlap one chosen before.

    Args:
        coords: upper left corners of all tiles, ``(N, 2)``.
        side: of the tiles.
        order: indices of tiles, the most wanted first.
        number: of tiles wanted, at most.

    Example:
        >>> choose_apart(np.array([[0, 0], [2, 0], [4, 0]]), 4, np.array([0, 1, 2]), 2).tolist()
        [0, 2]
    """
    chosen: list[int] = []
    left = np.asarray(order)
    while len(left) and len(chosen) < number:
        chosen.append(int(left[0]))
        apart = (np.abs(coords[left] - coords[left[0]]) >= side).any(axis=1)
        left = left[apart]
    return np.array(chosen, dtype=np.intp)
