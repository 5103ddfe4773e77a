"""Heat-maps as annotations for ASAP: the regions and the tiles that speak most, as groups of outlines."""

from __future__ import annotations

import os

import numpy as np
import shapely
from numpy.typing import NDArray

from scripts.annotations import Annotation, Outline, write_asap
from scripts.heat_map import HeatMap
from scripts.heat_map_colours import ColourScale
from scripts.heat_map_files import cell_boxes, joined_parts
from scripts.tile_gallery import TileGallery
from shared.data.errors import DataError

__all__ = ["region_outlines", "tile_outlines", "without_holes", "write_asap_map"]


def write_asap_map(path: str | os.PathLike[str], outlines: list[Outline], scale: ColourScale) -> None:
    """Write outlines as the XML file that ASAP reads (*File > Load annotation*), atomically.

    Args:
        path: the file, ``.xml``.
        outlines: of :func:`region_outlines` and :func:`tile_outlines`.
        scale: the colours of the map: outlines for have that of its upper end, those against that of its lower.
    """
    low, high = (_hexadecimal(scale.levels[end].colour) for end in (0, -1))
    groups = {outline.group: high if outline.tumour else low for outline in outlines}
    write_asap(path, Annotation(tuple(outlines)), groups)


def region_outlines(heat_map: HeatMap, scale: ColourScale, title: str, threshold: float) -> list[Outline]:
    """Return the regions in which a map reaches a share of its colour scale.

    Of signed values, the regions for (at least ``threshold · high``) and those against (at most ``−threshold · high``);
    of others those that are high (at least ``low + threshold · (high − low)``). With 0.6 they are what the GeoJSON
    calls strongly for, strongly against, and high or very high.

    ASAP's outlines have no holes: a region with holes is cut along lines of the grid into pieces without, which
    together are the region.

    Args:
        heat_map: the map.
        scale: its colours.
        title: of the method, which names the groups: ``<title>, for``, ``<title>, against``, ``<title>, high``.
        threshold: share of the scale, in (0, 1].

    Raises:
        DataError: if the threshold is no such share.
    """
    if not 0 < threshold <= 1:
        raise DataError(f"region_threshold: found {threshold}, expected a share of the colour scale, in (0, 1]")
    values, boxes = cell_boxes(heat_map)
    if scale.signed:
        chosen = {"for": values >= threshold * scale.high, "against": values <= -threshold * scale.high}
    else:
        chosen = {"high": values >= scale.low + threshold * (scale.high - scale.low)}
    outlines = []
    for word, mask in chosen.items():
        pieces = [piece for part in joined_parts(boxes[mask]) for piece in without_holes(part)]
        outlines += [
            Outline(f"{word} {number + 1}", f"{title}, {word}", _corners(piece), word != "against")
            for number, piece in enumerate(pieces)
        ]
    return outlines


def tile_outlines(
    coords: NDArray[np.int64],
    side: float,
    values: NDArray[np.float64],
    title: str,
    number: int,
    signed: bool,
    size: tuple[int, int],
) -> list[Outline]:
    """Return the tiles with the highest values and, of signed values, those with the lowest, as the gallery ranks them.

    Args:
        coords: upper left corners of all tiles, pixels of level 0, ``(N, 2)``.
        side: of the tiles, pixels of level 0.
        values: ``(N,)``.
        title: of the method, which names the groups: ``<title>, highest tiles``, ``<title>, lowest tiles``.
        number: of tiles on each side, at most.
        signed: whether values speak for and against.
        size: width and height of the slide, at whose border tiles end.
    """
    gallery = TileGallery.of(coords, side, values, number)
    outlines = []
    for end in ("highest", "lowest")[: 2 if signed else 1]:
        chosen = getattr(gallery, end)
        starts = coords[chosen].astype(np.float64)
        boxes = shapely.box(*starts.T, *np.minimum(starts + side, size).T)
        outlines += [
            Outline(name, f"{title}, {end} tiles", _corners(box), end == "highest")
            for name, box in zip(gallery.names(end), boxes, strict=True)
        ]
    return outlines


def without_holes(polygon: shapely.Polygon) -> list[shapely.Polygon]:
    """Cut a polygon into pieces without holes, which touch along vertical lines and together are the polygon.

    Each cut runs along the left edge of the middle one of a piece's holes, which it opens.

    Example:
        >>> ring = shapely.box(0, 0, 3, 3) - shapely.box(1, 1, 2, 2)
        >>> sorted(piece.area for piece in without_holes(ring))
        [3.0, 5.0]
    """
    pieces, waiting = [], [polygon]
    while waiting:
        piece = waiting.pop()
        if not piece.interiors:
            pieces.append(piece)
            continue
        lefts = sorted(ring.bounds[0] for ring in piece.interiors)
        cut, (left, top, right, bottom) = lefts[len(lefts) // 2], piece.bounds
        for half in (shapely.box(left, top, cut, bottom), shapely.box(cut, top, right, bottom)):
            parts = shapely.get_parts(shapely.intersection(piece, half))
            # where a piece touches the line there may be points and lines besides
            waiting += list(parts[shapely.get_type_id(parts) == shapely.GeometryType.POLYGON])
    return pieces


def _corners(polygon: shapely.Polygon) -> NDArray[np.float64]:
    """Return the corners of the outer ring, not closed."""
    return shapely.get_coordinates(polygon.exterior)[:-1]


def _hexadecimal(colour: tuple[int, int, int]) -> str:
    return "#" + "".join(f"{part:02X}" for part in colour)
