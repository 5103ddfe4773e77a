"""The files of an explained slide, below ``explanations/<slide>``."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from scripts.explained_slide import ExplainedSlide
from scripts.heat_map import HeatMap
from scripts.heat_map_asap import region_outlines, tile_outlines, write_asap_map
from scripts.heat_map_colours import ColourScale
from scripts.heat_map_files import region_features, tiff_downsample, tile_features, write_geojson, write_tiff
from scripts.heat_map_ome import write_ome_tiff
from scripts.heat_map_picture import SlideView, write_heat_map, write_thumbnail
from scripts.heat_map_placement import MapPlacement, MapSubject
from scripts.tile_gallery import TileGallery
from shared.data.errors import DataError
from shared.data.file_names import safe_name
from shared.data.files import atomic_path
from shared.saliency.bags.attention import AttentionWeights
from shared.saliency.bags.base import BagAttribution
from shared.saliency.explanation_files import FOLDER, write_index
from shared.saliency.layers import write_levels, write_outline, write_plain
from shared.saliency.titles import method_title

__all__ = ["SlideFiles"]

Floats = NDArray[np.float64]

#: a scale of attention reaches at least so many even shares: where all tiles are looked at alike, none is dark
EVEN_SHARES = 5.0

#: files of a map, by what the index calls them
FORMATS = {"tiff": ".tif", "ome_tiff": ".ome.tif", "geojson": ".geojson", "asap_xml": ".xml"}


class SlideFiles:
    """Writes below ``<output_dir>/explanations``, one folder for each slide.

    Args:
        output_dir: the paths in the index are relative to it.
        downsample: pixels of level 0 that a pixel of the TIFF spans; None chooses a power of two, so that a tile has
            at least 16 pixels.
        percentile: of the values at which colours saturate, see
            :meth:`~scripts.heat_map_colours.ColourScale.of`.
        formats: of each map beside its pictures: ``tiff`` (colours, plain pyramid), ``ome_tiff`` (values), ``geojson``
            (regions for QuPath) and ``asap_xml`` (regions and ranked tiles for ASAP).
        region_threshold: share of the colour scale that a region reaches which ASAP is shown.
        ranked_tiles: with the highest values that ASAP is shown, and as many with the lowest.

    Raises:
        DataError: if a format is none of these.
    """

    def __init__(
        self,
        output_dir: str | os.PathLike[str],
        downsample: float | None = None,
        percentile: float = 100.0,
        formats: Sequence[str] = tuple(FORMATS),
        region_threshold: float = 0.6,
        ranked_tiles: int = 8,
    ) -> None:
        if isinstance(formats, str) or (unknown := [name for name in formats if name not in FORMATS]):
            found = formats if isinstance(formats, str) else ", ".join(unknown)
            raise DataError(f"formats: found {found}, expected a list of some of {', '.join(FORMATS)}")
        self.output_dir = Path(output_dir)
        self.downsample = downsample
        self.percentile = percentile
        self.formats = list(dict.fromkeys(formats))
        self.region_threshold = region_threshold
        self.ranked_tiles = ranked_tiles

    def write_thumbnail(self, slide: ExplainedSlide, view: SlideView, said: str, gallery: TileGallery) -> str:
        """Write ``thumbnail.png``, with rings around the tiles of the gallery; return its path in the index."""
        name = self._name(slide, "thumbnail.png")
        write_thumbnail(self.output_dir / name, view, title=slide.name, subtitle=said, marks=gallery.marks(slide))
        return name

    def write_view(self, slide: ExplainedSlide, view: SlideView) -> dict[str, Any]:
        """Write what a viewer lays maps over: the slide without a frame, and the outline of the annotated tumour.

        Returns:
            ``image_png``; ``outline_png``, ``None`` without an annotation; ``size_px``, width and height at level 0;
            ``pixel_size_um`` there, ``None`` if not known.
        """
        plain, outline = self._name(slide, "plain.png"), None
        write_plain(self.output_dir / plain, view.picture)
        if view.truth is not None and not view.truth.is_empty:
            outline = self._name(slide, "outline.png")
            write_outline(self.output_dir / outline, view.truth_mask())
        return {
            "image_png": plain,
            "outline_png": outline,
            "size_px": [int(length) for length in slide.size],
            "pixel_size_um": slide.mpp,
        }

    def write_map(
        self, slide: ExplainedSlide, view: SlideView, said: str, method: str, how: BagAttribution, values: Floats
    ) -> dict[str, Any]:
        """Write one method's map as PNG, and in the formats that are wanted.

        Args:
            slide: of whose tiles the values are.
            view: its thumbnail.
            said: a line about slide and prediction.
            method: key of the method, which names the files.
            how: the method.
            values: of the tiles, ``(N,)``.

        Returns:
            ``overlay_png``, ``layer_png`` (the map alone, with transparent colours) and the formats: paths in the
            index; ``low`` and ``high``, the ends of the colour scale, and ``unit``.
        """
        suffixes = {"overlay_png": ".png", "layer_png": "_layer.png"}
        suffixes |= {name: FORMATS[name] for name in self.formats}
        names = {key: self._name(slide, f"{method}{suffix}") for key, suffix in suffixes.items()}
        share = _even_share(how, values)
        heat_map, scale, title = slide.grid.heat_map(values), self.scale(how, values), method_title(method)
        write_heat_map(
            self.output_dir / names["overlay_png"],
            view,
            heat_map,
            scale,
            title=title,
            subtitle=said,
            unit=how.unit,
            reference=None if share is None else (share, "even share"),
        )
        values_shown = heat_map.raster(view.downsample, view.picture.shape[:2])
        # outside of all tiles nothing was looked at: as transparent as 0
        write_levels(
            self.output_dir / names["layer_png"], scale.norm(np.nan_to_num(values_shown, nan=0.0)), scale.overlay_map
        )
        self._write_formats(slide, names, heat_map, scale, title, how.unit, values)
        return {**names, "low": scale.low, "high": scale.high, "unit": how.unit}

    def _write_formats(
        self,
        slide: ExplainedSlide,
        names: Mapping[str, str],
        heat_map: HeatMap,
        scale: ColourScale,
        title: str,
        unit: str,
        values: Floats,
    ) -> None:
        """Write a map for the viewers of slides."""
        paths = {key: self.output_dir / name for key, name in names.items()}
        placement = MapPlacement(slide.size, self.downsample or tiff_downsample(slide.side), slide.mpp)
        subject = MapSubject(slide.name, title, unit)
        if "tiff" in paths:
            write_tiff(paths["tiff"], heat_map, scale, placement, subject)
        if "ome_tiff" in paths:
            write_ome_tiff(paths["ome_tiff"], heat_map, scale, placement, subject)
        if "geojson" in paths:
            write_geojson(paths["geojson"], region_features(slide.name, heat_map, scale, title, slide.mpp))
        if "asap_xml" in paths:
            outlines = region_outlines(heat_map, scale, title, self.region_threshold)
            outlines += tile_outlines(
                slide.bag.coords, slide.side, values, title, self.ranked_tiles, scale.signed, slide.size
            )
            write_asap_map(paths["asap_xml"], outlines, scale)

    def write_tiles(
        self,
        slide: ExplainedSlide,
        values: Mapping[str, Floats],
        classified_by: str,
        how: BagAttribution,
    ) -> str:
        """Write ``tiles.geojson``: all tiles with all values, for QuPath; return its path in the index."""
        name = self._name(slide, "tiles.geojson")
        named = {method_title(method): rows for method, rows in values.items()}
        if slide.bag.tile_label is not None:
            named["Tumour share"] = slide.bag.tile_label.astype(np.float64)
        features = tile_features(
            slide.name,
            slide.bag.coords,
            slide.side,
            named,
            method_title(classified_by),
            self.scale(how, values[classified_by]),
            slide.size,
        )
        write_geojson(self.output_dir / name, features)
        return name

    def write_table(self, slide: ExplainedSlide, values: Mapping[str, Floats], ranked_by: str) -> str:
        """Write ``instances.csv``: place and values of all tiles, by falling value; return its path in the index."""
        table = pd.DataFrame(slide.bag.coords, columns=["x", "y"])
        table["tile_size"] = slide.side
        for method, rows in values.items():
            table[method] = rows
        if slide.bag.tile_label is not None:
            table["tumour_share"] = slide.bag.tile_label
        table = table.iloc[np.argsort(-values[ranked_by], kind="stable")]
        table.insert(0, "rank", np.arange(1, len(table) + 1))
        name = self._name(slide, "instances.csv")
        with atomic_path(self.output_dir / name) as temporary:
            table.to_csv(temporary, index=False, lineterminator="\n")
        return name

    def write_tile(self, slide: ExplainedSlide, name: str, picture: NDArray[np.uint8]) -> str:
        """Write a tile as PNG; return its path in the index."""
        path = self._name(slide, f"{name}.png")
        with atomic_path(self.output_dir / path) as temporary:
            Image.fromarray(picture).save(temporary, format="PNG", compress_level=3)
        return path

    def write_similar(self, slide_id: str, rank: int, picture: NDArray[np.uint8]) -> str:
        """Write a training slide that is like an explained one, small; return its path in the index.

        Args:
            slide_id: of the explained slide.
            rank: of the training slide among those that are like it, from 0 on.
            picture: its thumbnail, ``(H, W, 3)``.
        """
        path = f"{FOLDER}/{safe_name(slide_id)}/similar_{rank + 1}.png"
        write_plain(self.output_dir / path, picture)
        return path

    def write_index(self, content: Mapping[str, Any]) -> Path:
        """Write ``index.json``, last of all: what it lists is there."""
        return write_index(self.output_dir, content)

    def scale(self, how: BagAttribution, values: Floats) -> ColourScale:
        """Return the colours of a slide's values."""
        share = _even_share(how, values)
        return ColourScale.of(values, how.diverging, self.percentile, 0.0 if share is None else EVEN_SHARES * share)

    def _name(self, slide: ExplainedSlide, file: str) -> str:
        return f"{FOLDER}/{safe_name(slide.name)}/{file}"


def _even_share(how: BagAttribution, values: Floats) -> float | None:
    """Return the share that each tile would have if all had the same, of values that are shares; else ``None``."""
    shares = isinstance(how, AttentionWeights) and not how.rescaled
    return 1 / len(values) if shares else None
