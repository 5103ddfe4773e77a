"""What is written of a slide that is shown: thumbnail, heat-maps of every method, tiles, and all values as a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scripts.explained_slide import ExplainedSlide
from scripts.slide_files import SlideFiles
from scripts.slide_values import SlideValues
from scripts.tile_gallery import TileGallery
from shared.data.errors import DataError

__all__ = ["ShownSlides"]


class ShownSlides:
    """Writes the files of slides, and says what the index says of them.

    Args:
        files: where to write.
        valuation: explains bags.
        ranking_methods: by whose values tiles are ranked for the gallery and the table: the first of these that can
            explain the network.
        tiles: with the highest values that are shown of each slide, and as many with the lowest.
        longest: longer side of the thumbnail, pixels.

    Raises:
        DataError: if a ranking method is none of the methods.
    """

    def __init__(
        self,
        files: SlideFiles,
        valuation: SlideValues,
        ranking_methods: tuple[str, ...] | list[str],
        tiles: int = 8,
        longest: int = 1000,
    ) -> None:
        unknown = [name for name in ranking_methods if name not in valuation.methods]
        if unknown or not ranking_methods:
            raise DataError(
                f"ranking_methods: found {unknown[0] if unknown else 'none'!r}, expected some of "
                f"{', '.join(valuation.methods)}"
            )
        self.files = files
        self.valuation = valuation
        self.ranking_methods = list(ranking_methods)
        self.tiles = tiles
        self.longest = longest

    def write(
        self, slide: ExplainedSlide, values: Mapping[str, NDArray[np.float64]], said: str
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Write a slide's files.

        Args:
            slide: that is shown.
            values: of its tiles by method, ``(N,)`` each.
            said: a line about the prediction, for the pictures.

        Returns:
            The ``slide`` and the ``methods`` of the index's entry.
        """
        ranked_by = next((name for name in self.ranking_methods if name in values), next(iter(values)))
        gallery = TileGallery.of(slide.bag.coords, slide.side, values[ranked_by], self.tiles)
        view = slide.view(self.longest)
        how = self.valuation.methods
        line = f"{slide.name}: {said}"
        methods = {
            name: self.files.write_map(slide, view, line, name, how[name], rows) for name, rows in values.items()
        }
        entry = {
            **self._about(slide),
            "logit": self.valuation.logit(slide.bag.features),
            "ranked_by": ranked_by,
            "view": self.files.write_view(slide, view),
            "thumbnail_png": self.files.write_thumbnail(slide, view, said, gallery),
            "instances_csv": self.files.write_table(slide, values, ranked_by),
            "tiles_geojson": self.files.write_tiles(slide, values, ranked_by, how[ranked_by]),
            **gallery.entries(slide, lambda name, picture: self.files.write_tile(slide, name, picture)),
        }
        # reading the thumbnail or a tile may have found the slide broken
        return {**entry, "missing": slide.missing}, methods

    def _about(self, slide: ExplainedSlide) -> dict[str, Any]:
        truth, mpp = slide.bag.tile_label, slide.mpp
        lesions = None
        if slide.annotation is not None and mpp is not None:
            lesions = [
                {"kind": lesion.kind, "extent_um": round(lesion.extent_um, 1), "area_mm2": lesion.area_um2 / 1e6}
                for lesion in slide.annotation.lesions(mpp)
            ]
        return {
            "tiles": len(slide.bag.coords),
            "tile_size_px": slide.side,
            "tile_size_um": None if mpp is None else slide.side * mpp,
            "size_px": list(slide.size),
            "mpp": mpp,
            "tumour_tiles": None if truth is None or np.isnan(truth).all() else int((truth > 0).sum()),
            "lesions": lesions,
        }
