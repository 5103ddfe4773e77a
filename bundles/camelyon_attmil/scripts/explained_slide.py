"""A slide that is explained: its tiles, its thumbnail, its annotated tumour; also where the slide itself is missing."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scripts.annotations import Annotation, read_asap
from scripts.feature_file import FeatureBag
from scripts.heat_map import TileGrid
from scripts.heat_map_picture import SlideView
from scripts.slide import Slide, TileGeometry
from shared.data.errors import DataError

__all__ = ["BLANK", "ExplainedSlide"]

#: grey of a canvas without slide
BLANK = 246


@dataclass
class ExplainedSlide:
    """What is known of a slide beyond its features.

    Its feature file is needed, the slide is not: without it maps are drawn on a blank canvas, and no tile is shown.

    Args:
        record: ``id``; ``slide`` and ``annotation`` (paths), ``mpp`` and ``partly_annotated`` where there are any.
        bag: its tiles.

    Attributes:
        missing: why the slide itself cannot be shown; empty if it can.

    Raises:
        DataError: if the size of the tiles is not known, or they are no tiles of the slide, or the annotation is
            broken.
    """

    record: Mapping[str, Any]
    bag: FeatureBag

    def __post_init__(self) -> None:
        attributes = self.bag.attributes
        if attributes.level0_tile_size is None:
            raise DataError(
                f"{self.record.get('features')}: does not say the size of its tiles, so they cannot be drawn; put "
                "CLAM's patches/<slide>.h5 beside the features, or extract them again"
            )
        self.side = float(attributes.level0_tile_size)
        self.missing = ""
        self.slide = self._open()
        self.grid = TileGrid(self.bag.coords, self.side, self.size)
        path = self.record.get("annotation")
        self.annotation: Annotation | None = None if path is None else read_asap(path)

    def _open(self) -> Slide | None:
        path = self.record.get("slide")
        if not isinstance(path, str | os.PathLike):
            self.missing = "the datalist names no slide"
            return None
        try:
            slide = Slide(path, self.record.get("mpp") or self.bag.attributes.slide_mpp)
        except DataError as error:
            self.missing = str(error)
            return None
        stated = self.bag.attributes.slide_size
        if stated is not None and tuple(stated) != slide.size:
            slide.close()
            raise DataError(
                f"{path}: has {slide.size[0]} by {slide.size[1]} pixels, its features are of a slide of {stated[0]} by "
                f"{stated[1]}; put the slide back, or extract the features again"
            )
        return slide

    def close(self) -> None:
        """Close the slide's file."""
        if self.slide is not None:
            self.slide.close()

    @property
    def name(self) -> str:
        """Its id."""
        return str(self.record["id"])

    @cached_property
    def size(self) -> tuple[int, int]:
        """Width and height of level 0; where nobody states them, as far as the tiles reach."""
        if self.slide is not None:
            return self.slide.size
        if self.bag.attributes.slide_size is not None:
            return self.bag.attributes.slide_size
        width, height = np.ceil(self.bag.coords.max(axis=0) + self.side).astype(int).tolist()
        return width, height

    @property
    def mpp(self) -> float | None:
        """µm per pixel of level 0, None if not known."""
        if self.slide is not None:
            return self.slide.mpp
        given = self.record.get("mpp") or self.bag.attributes.slide_mpp
        if given is not None:
            return float(given)
        stated = self.bag.attributes
        known = stated.mpp is not None and stated.tile_size is not None
        return float(stated.mpp) * stated.tile_size / self.side if known else None  # type: ignore[arg-type, operator]

    def view(self, longest: int) -> SlideView:
        """Return the slide's thumbnail, or a blank canvas.

        Args:
            longest: its longer side, pixels; fewer where the slide has fewer.
        """
        downsample = max(1.0, max(self.size) / longest)
        truth = None if self.annotation is None else self.annotation.tumour
        if self.slide is not None:
            try:
                picture, downsample = self.slide.overview(downsample * self.slide.mpp, longest * longest)
                return SlideView(picture, downsample, self.mpp, truth)
            except DataError as error:
                self.missing = str(error)
        width, height = (int(np.ceil(length / downsample)) for length in self.size)
        blank = np.full((height, width, 3), BLANK, dtype=np.uint8)
        return SlideView(blank, downsample, self.mpp, truth, self.missing)

    def read_tile(self, index: int) -> NDArray[np.uint8]:
        """Read a tile as its encoder saw it, ``(T, T, 3)`` RGB.

        Raises:
            DataError: if the slide is missing, or cannot be decoded there.
        """
        if self.slide is None:
            raise DataError(self.missing)
        x, y = self.bag.coords[index].tolist()
        return self.slide.read_tile(x, y, self._geometry)

    @cached_property
    def _geometry(self) -> TileGeometry:
        assert self.slide is not None
        size = self.bag.attributes.tile_size or round(self.side)
        geometry = self.slide.tile_geometry(size, max(self.side / size, 1.0) * self.slide.mpp)
        if round(self.side) == geometry.level0_tile_size:
            return geometry
        # the features' own square: another program may have rounded otherwise
        return replace(
            geometry,
            level0_tile_size=round(self.side),
            level_tile_size=self.side / geometry.downsample,
            mpp=self.side * self.slide.mpp / size,
        )
