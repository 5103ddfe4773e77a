"""Explained slides: thumbnail, heat-maps and the tiles that count most, from ``explanations/index.json``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.data.errors import DataError
from shared.report.gallery import Case, explained_samples, file_inside, read_case
from shared.report.images import EmbeddedImage, embed_images
from shared.report.measures import read_number, read_table
from shared.report.sources import Sources

__all__ = ["MOST_SLIDES", "ExplainedSlide", "Lesion", "SlideMap", "Tile", "failed_slides", "read_slides", "slide_count"]

#: More would make the page heavy; the others lie in the folder.
MOST_SLIDES = 8
#: longer sides of what is shown large, pixels: its legend is read
LARGE_SIDES = (840, 700, 560, 420)
#: bytes of what is shown large, of the other maps, and of the tiles
LARGE_BUDGET, MAP_BUDGET, TILE_BUDGET = 2_500_000, 3_000_000, 2_500_000


@dataclass(frozen=True)
class Tile:
    """One tile of the gallery.

    Attributes:
        name: as the ring on the thumbnail is called.
        rank: 1 for the highest value of the slide.
        value: of the method that the tiles are ranked by.
        x: left edge, pixels of level 0.
        y: upper edge.
        tumour_share: share of it that is tumour; ``None`` if not known.
        image: its picture; ``None`` if it could not be read.
        reason: why there is no picture.
    """

    name: str
    rank: int
    value: float
    x: int
    y: int
    tumour_share: float | None
    image: EmbeddedImage | None
    reason: str


@dataclass(frozen=True)
class SlideMap:
    """The heat-map of one method.

    Attributes:
        method: its key.
        image: over the thumbnail.
        low: value at the lower end of its colours.
        high: at the upper end.
        unit: what a value is.
        tiff: its pyramidal TIFF, relative to the evaluation folder.
        geojson: its regions for QuPath.
    """

    method: str
    image: EmbeddedImage | None
    low: float
    high: float
    unit: str
    tiff: str
    geojson: str


@dataclass(frozen=True)
class Lesion:
    """An annotated piece of tumour: ``kind`` (macro, micro or itc) and greatest extent in µm."""

    kind: str
    extent_um: float


@dataclass(frozen=True)
class ExplainedSlide:
    """One explained slide.

    Attributes:
        case: its prediction, confidence and decision.
        tiles: number of tiles.
        tile_um: side of a tile in µm; ``None`` if not known.
        size_mm: width and height; ``None`` if not known.
        missing: why the slide itself is not shown; empty if it is.
        logit: log-odds of the class to be found.
        ranked_by: method by whose values the tiles are ranked.
        tumour_tiles: number of tiles with tumour; ``None`` if not known.
        lesions: annotated, the greatest first; ``None`` if there is no annotation.
        thumbnail: the slide.
        maps: of each method, the one that ranks first.
        highest: tiles that speak most for the class, in falling order.
        lowest: tiles that speak most against it, in rising order.
        table: file with the values of all tiles.
        tiles_file: GeoJSON of all tiles.
    """

    case: Case
    tiles: int
    tile_um: float | None
    size_mm: tuple[float, float] | None
    missing: str
    logit: float
    ranked_by: str
    tumour_tiles: int | None
    lesions: Sequence[Lesion] | None
    thumbnail: EmbeddedImage | None
    maps: Sequence[SlideMap]
    highest: Sequence[Tile]
    lowest: Sequence[Tile]
    table: str
    tiles_file: str


def slide_count(sources: Sources) -> int:
    """Return how many slides were explained."""
    return 0 if sources.explanations is None else len(explained_samples(sources, "slide"))


def failed_slides(sources: Sources) -> list[tuple[str, str]]:
    """Return id and reason of the slides that could not be explained.

    Raises:
        DataError: if an entry is malformed.
    """
    rows = (sources.explanations or {}).get("failed") or []
    where = f"{sources.files.get('explanations/index.json')}: failed"
    if not isinstance(rows, list):
        raise DataError(f"{where}: found {type(rows).__name__}, expected a list; run explaining again")
    entries = [read_table(row, f"{where}[{i}]") for i, row in enumerate(rows)]
    return [(str(entry.get("id", "")), str(entry.get("reason", ""))) for entry in entries]


def read_slides(sources: Sources) -> list[ExplainedSlide]:
    """Read the first ``MOST_SLIDES`` explained slides with their pictures.

    Raises:
        DataError: if a slide is malformed, or an image is missing, unreadable or outside the evaluation folder.
    """
    if sources.explanations is None:
        return []
    samples = explained_samples(sources, "slide")[:MOST_SLIDES]
    large: list[Path | None] = []
    maps: list[Path | None] = []
    tiles: list[Path | None] = []
    for where, sample in samples:
        slide = read_table(sample["slide"], f"{where}.slide")
        large.append(file_inside(sources.eval_dir, slide.get("thumbnail_png"), f"{where}.slide.thumbnail_png"))
        for place, name, entry in _maps(sample, where):
            drawn = file_inside(sources.eval_dir, entry.get("overlay_png"), place)
            (large if name == slide.get("ranked_by") else maps).append(drawn)
        tiles += [
            file_inside(sources.eval_dir, row.get("image_png"), place)
            for side in ("highest", "lowest")
            for place, row in _tiles(slide, side, where)
        ]
    images = embed_images([path for path in large if path is not None], LARGE_BUDGET, LARGE_SIDES)
    for paths, budget in ((maps, MAP_BUDGET), (tiles, TILE_BUDGET)):
        images |= embed_images([path for path in paths if path is not None], budget)
    return [_slide(sources, sample, where, images) for where, sample in samples]


def _maps(sample: Mapping[str, Any], where: str) -> list[tuple[str, str, Mapping[str, Any]]]:
    methods = read_table(sample.get("methods", {}), f"{where}.methods")
    return [
        (f"{where}.methods.{name}", name, read_table(entry, f"{where}.methods.{name}"))
        for name, entry in methods.items()
    ]


def _tiles(slide: Mapping[str, Any], side: str, where: str) -> list[tuple[str, Mapping[str, Any]]]:
    rows, place = slide.get(side) or [], f"{where}.slide.{side}"
    if not isinstance(rows, list):
        raise DataError(f"{place}: found {type(rows).__name__}, expected a list; run explaining again")
    return [(f"{place}[{i}]", read_table(row, f"{place}[{i}]")) for i, row in enumerate(rows)]


def _slide(
    sources: Sources, sample: Mapping[str, Any], where: str, images: Mapping[Path, EmbeddedImage]
) -> ExplainedSlide:
    slide, place = sample["slide"], f"{where}.slide"

    def picture(entry: Mapping[str, Any], key: str) -> EmbeddedImage | None:
        path = file_inside(sources.eval_dir, entry.get(key), f"{place}.{key}")
        return None if path is None else images[path]

    def tiles(side: str) -> list[Tile]:
        return [
            Tile(
                name=str(row.get("id", "")),
                rank=int(read_number(row.get("rank"), f"{at}.rank")),
                value=read_number(row.get("value"), f"{at}.value"),
                x=int(read_number(row.get("x"), f"{at}.x")),
                y=int(read_number(row.get("y"), f"{at}.y")),
                tumour_share=_optional(row, "tumour_share", at),
                image=picture(row, "image_png"),
                reason=str(row.get("reason") or ""),
            )
            for at, row in _tiles(slide, side, where)
        ]

    maps = [
        SlideMap(
            method=name,
            image=picture(entry, "overlay_png"),
            low=read_number(entry.get("low"), f"{at}.low"),
            high=read_number(entry.get("high"), f"{at}.high"),
            unit=str(entry.get("unit") or "value"),
            tiff=str(entry.get("tiff") or ""),
            geojson=str(entry.get("geojson") or ""),
        )
        for at, name, entry in _maps(sample, where)
    ]
    ranked_by = str(slide.get("ranked_by") or "")
    tumour_tiles = _optional(slide, "tumour_tiles", place)
    return ExplainedSlide(
        case=read_case(sources, sample, where),
        tiles=int(read_number(slide.get("tiles"), f"{place}.tiles")),
        tile_um=_optional(slide, "tile_size_um", place),
        size_mm=_size_mm(slide, place),
        missing=str(slide.get("missing") or ""),
        logit=read_number(slide.get("logit"), f"{place}.logit"),
        ranked_by=ranked_by,
        tumour_tiles=None if tumour_tiles is None else int(tumour_tiles),
        lesions=_lesions(slide, place),
        thumbnail=picture(slide, "thumbnail_png"),
        maps=sorted(maps, key=lambda one: one.method != ranked_by),
        highest=tiles("highest"),
        lowest=tiles("lowest"),
        table=str(slide.get("instances_csv") or ""),
        tiles_file=str(slide.get("tiles_geojson") or ""),
    )


def _optional(entry: Mapping[str, Any], key: str, where: str) -> float | None:
    return None if entry.get(key) is None else read_number(entry[key], f"{where}.{key}")


def _size_mm(slide: Mapping[str, Any], where: str) -> tuple[float, float] | None:
    mpp, size = _optional(slide, "mpp", where), slide.get("size_px")
    if mpp is None or size is None:
        return None
    if not isinstance(size, list) or len(size) != 2:
        raise DataError(f"{where}.size_px: found {size!r}, expected [width, height]; run explaining again")
    width, height = (read_number(length, f"{where}.size_px") * mpp / 1000 for length in size)
    return width, height


def _lesions(slide: Mapping[str, Any], where: str) -> list[Lesion] | None:
    rows = slide.get("lesions")
    if rows is None:
        return None
    if not isinstance(rows, list):
        raise DataError(f"{where}.lesions: found {type(rows).__name__}, expected a list; run explaining again")
    return [
        Lesion(str(row.get("kind", "")), read_number(row.get("extent_um"), f"{where}.lesions[{i}].extent_um"))
        for i, row in enumerate(read_table(row, f"{where}.lesions[{i}]") for i, row in enumerate(rows))
    ]
