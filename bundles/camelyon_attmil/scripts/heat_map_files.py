"""Heat-maps as files that lie over the slide: a pyramidal TIFF, and GeoJSON for QuPath."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from scripts.heat_map import HeatMap
from scripts.heat_map_colours import ColourScale
from scripts.heat_map_placement import MapPlacement, MapSubject
from scripts.pyramid_tiff import write_pyramid
from shared.data.files import atomic_path

__all__ = [
    "cell_boxes",
    "joined_parts",
    "region_features",
    "tiff_downsample",
    "tile_features",
    "write_geojson",
    "write_tiff",
]

Feature = dict[str, Any]

#: least width of a tile in the TIFF, pixels
TILE_PIXELS = 16


def tiff_downsample(side: float) -> int:
    """Return the greatest power of two by which tiles of a side can be made smaller and keep 16 pixels.

    Example:
        >>> tiff_downsample(512), tiff_downsample(517.3), tiff_downsample(20)
        (32, 32, 1)
    """
    return int(2 ** max(0, np.floor(np.log2(side / TILE_PIXELS))))


def write_tiff(
    path: str | os.PathLike[str],
    heat_map: HeatMap,
    scale: ColourScale,
    placement: MapPlacement,
    subject: MapSubject,
) -> Path:
    """Write a map as a pyramidal tiled TIFF of its colours, without loss, white where there is no tile.

    Its upper left corner is the slide's, and its resolution tags say how far a pixel reaches: viewers that go by µm lay
    it over the slide as it is, others after scaling it by ``downsample``. Of a slide whose scale is not known it has no
    such tags. Each of its pixels has the colour at its middle. It is written in stripes; memory is that of the map's
    cells, not of the slide's pixels.

    Args:
        path: the file.
        heat_map: the map.
        scale: its colours.
        placement: where it lies.
        subject: whose values it shows; goes into the file as JSON, beside the scale and the placement.
    """
    stated = {
        **asdict(subject),
        "downsample": placement.downsample,
        "slide_size": list(placement.size),
        "colours": {"from": scale.low, "to": scale.high, "map": scale.colour_map.name},
    }

    def render(x: int, y: int, columns: int, rows: int) -> NDArray[np.uint8]:
        return scale.rgb(heat_map.raster(placement.downsample, (rows, columns), (x, y)))

    description = json.dumps(stated)
    return write_pyramid(path, placement.pixels, render, placement.pixel_um, quality=None, description=description)


def write_geojson(path: str | os.PathLike[str], features: Iterator[Feature] | Sequence[Feature]) -> None:
    """Write features as a GeoJSON feature collection, one to a line, atomically.

    Coordinates are pixels of level 0, as QuPath has them ("File > Import objects from file", or drag it onto the
    slide); apart from that the file is as RFC 7946 demands.

    Raises:
        ValueError: if a measurement is not finite; JSON has no form for it.
    """
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.write('{"type": "FeatureCollection", "features": [')
        separator = "\n"
        for feature in features:
            file.write(separator + json.dumps(feature, ensure_ascii=False, allow_nan=False, separators=(",", ":")))
            separator = ",\n"
        file.write("\n]}\n")


def tile_features(
    slide_id: str,
    coords: NDArray[np.int64],
    side: float,
    values: Mapping[str, NDArray[np.float64]],
    classified_by: str,
    scale: ColourScale,
    size: tuple[int, int] | None = None,
) -> Iterator[Feature]:
    """Yield a detection for each tile, with all its values as measurements.

    QuPath draws a map of each of them ("Measure > Show measurement maps").

    Args:
        slide_id: name of the slide, which makes the tiles' ids.
        coords: upper left corners, pixels of level 0, ``(N, 2)``.
        side: of the tiles, pixels of level 0.
        values: of the tiles, by what they are called, ``(N,)``; those that are not finite are left out.
        classified_by: the one by whose level a tile has its class and colour.
        scale: of that one.
        size: width and height of the slide, at whose border tiles end.
    """
    corners = np.asarray(coords, dtype=np.float64)
    ends = corners + side if size is None else np.minimum(corners + side, size)
    levels = scale.levels
    classes = [{"name": level.name, "color": list(level.colour)} for level in levels]
    chosen = scale.level_of(values[classified_by])
    for index, ((left, top), (right, bottom)) in enumerate(zip(corners.tolist(), ends.tolist(), strict=True)):
        ring = [[left, top], [right, top], [right, bottom], [left, bottom], [left, top]]
        yield _feature(
            f"{slide_id} tile {index} {left:g} {top:g}",
            "detection",
            {"type": "Polygon", "coordinates": [ring]},
            classes[chosen[index]],
            {name: float(rows[index]) for name, rows in values.items() if np.isfinite(rows[index])},
        )


def region_features(
    slide_id: str, heat_map: HeatMap, scale: ColourScale, name: str, mpp: float | None = None
) -> Iterator[Feature]:
    """Yield an annotation for each region of one level: neighbouring cells of equal level are one polygon.

    Cells are neighbours if they share an edge. Measurements are the area, in mm² if the scale is known, and the values'
    mean by area, their least and their greatest.

    Args:
        slide_id: name of the slide, which makes the regions' ids.
        heat_map: the map.
        scale: its levels are the classes.
        name: what the values are called.
        mpp: µm per pixel of level 0.
    """
    values, boxes = cell_boxes(heat_map)
    areas = shapely.area(boxes)
    level_of = scale.level_of(values)
    for index, level in enumerate(scale.levels):
        chosen = np.flatnonzero(level_of == index)
        if not chosen.size:
            continue
        tree = shapely.STRtree(shapely.centroid(boxes[chosen]))
        for number, part in enumerate(joined_parts(boxes[chosen])):
            members = chosen[tree.query(part, predicate="contains")]
            area = float(areas[members].sum())
            size = {"Area px²": area} if mpp is None else {"Area mm²": area * (mpp / 1000) ** 2}
            measured = {
                f"{name}: mean": float(np.average(values[members], weights=areas[members])),
                f"{name}: min": float(values[members].min()),
                f"{name}: max": float(values[members].max()),
            }
            yield _feature(
                f"{slide_id} {name} {index} {number}",
                "annotation",
                shapely.geometry.mapping(part),
                {"name": f"{name}, {level.name}", "color": list(level.colour)},
                {**size, **measured},
            )


def cell_boxes(heat_map: HeatMap) -> tuple[NDArray[np.float64], NDArray[np.object_]]:
    """Return values and outlines of the cells of a map that have a value, ``(M,)`` each."""
    rows, columns = np.nonzero(~np.isnan(heat_map.values))
    boxes = shapely.box(
        heat_map.x_edges[columns], heat_map.y_edges[rows], heat_map.x_edges[columns + 1], heat_map.y_edges[rows + 1]
    )
    return heat_map.values[rows, columns], boxes


def joined_parts(boxes: NDArray[np.object_]) -> NDArray[np.object_]:
    """Join cells that share an edge; the outer ring of each polygon runs counter-clockwise, its holes clockwise."""
    # without the corners that neighbours left on straight edges
    return shapely.orient_polygons(shapely.get_parts(shapely.simplify(shapely.coverage_union_all(boxes), 0.0)))


def _feature(
    identity: str, kind: str, geometry: Mapping[str, Any], classification: Mapping[str, Any], measured: Feature
) -> Feature:
    properties = {"objectType": kind, "classification": classification, "measurements": measured}
    # the same region has the same id in every run: QuPath replaces it and does not add another
    return {
        "type": "Feature",
        "id": str(uuid.uuid5(uuid.NAMESPACE_OID, identity)),
        "geometry": dict(geometry),
        "properties": {**properties, "isLocked": True} if kind == "annotation" else properties,
    }
