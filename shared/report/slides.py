"""Explained slides: thumbnail, heat-maps and the tiles that count most, from ``explanations/index.json``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shared.data.errors import DataError
from shared.report.gallery import Case, explained_samples, read_case
from shared.report.images import EmbeddedImage
from shared.report.instances import Instance, add_instances, read_instances, read_rows
from shared.report.measures import read_number, read_table
from shared.report.pictures import Pictures
from shared.report.similar_cases import SimilarCase, read_similar
from shared.report.sources import Sources
from shared.report.view import LayerEntry, View, add_view, read_view

__all__ = ["MOST_SLIDES", "ExplainedSlide", "Lesion", "SlideMap", "failed_slides", "read_slides"]

#: More would make the page heavy; the others lie in the folder.
MOST_SLIDES = 8
#: longer sides of what is shown large, pixels: its legend is read
LARGE_SIDES = (840, 700, 560, 420)
#: bytes of what is shown large, of the layers over it, of other maps in frames, and of the tiles
LARGE_BYTES, LAYER_BYTES, MAP_BYTES, TILE_BYTES = 500_000, 350_000, 500_000, 500_000


@dataclass(frozen=True)
class SlideMap:
    """The heat-map of one method.

    Attributes:
        method: its key.
        image: over the thumbnail.
        low: value at the lower end of its colours.
        high: at the upper end.
        unit: what a value is.
        tiff: its pyramidal TIFF, relative to the evaluation folder; empty if there is none, as are the following.
        geojson: its regions for QuPath.
        ome_tiff: its values as OME-TIFF.
        asap_xml: its regions and ranked tiles for ASAP.
    """

    method: str
    image: EmbeddedImage | None
    low: float
    high: float
    unit: str
    tiff: str
    geojson: str
    ome_tiff: str = ""
    asap_xml: str = ""


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
        view: the slide with all its maps as layers; ``None`` where explanations have none.
        thumbnail: the slide in a frame, where there is no view.
        maps: of each method, the one that ranks first; pictures in frames where there is no view.
        highest: tiles that speak most for the class, in falling order.
        lowest: tiles that speak most against it, in rising order.
        tile_px: side of a tile, pixels of level 0; ``None`` if not known.
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
    view: View | None
    thumbnail: EmbeddedImage | None
    maps: Sequence[SlideMap]
    highest: Sequence[Instance]
    lowest: Sequence[Instance]
    tile_px: float | None
    table: str
    tiles_file: str


def failed_slides(sources: Sources) -> list[tuple[str, str]]:
    """Return id and reason of the slides that could not be explained.

    Raises:
        DataError: if an entry is malformed.
    """
    rows = read_rows(sources.explanations or {}, "failed", str(sources.files.get("explanations/index.json")))
    return [(str(entry.get("id", "")), str(entry.get("reason", ""))) for _, entry in rows]


def read_slides(sources: Sources) -> list[ExplainedSlide]:
    """Read the first ``MOST_SLIDES`` explained slides with their pictures.

    Raises:
        DataError: if a slide is malformed, or an image is missing, unreadable or outside the evaluation folder.
    """
    samples = explained_samples(sources, "slide")[:MOST_SLIDES]
    pictures = Pictures(sources.eval_dir)
    for where, sample in samples:
        slide = read_table(sample["slide"], f"{where}.slide")
        if "view" in slide:
            add_view(pictures, slide["view"], _layers(sample, where), f"{where}.slide.view")
        else:
            pictures.add(slide.get("thumbnail_png"), f"{where}.slide.thumbnail_png")
            _add_maps(pictures, sample, where, first=True)
    pictures.embed(LARGE_BYTES, LAYER_BYTES, LARGE_SIDES)
    for where, sample in samples:
        if "view" not in sample["slide"]:
            _add_maps(pictures, sample, where, first=False)
    pictures.embed(MAP_BYTES)
    for where, sample in samples:
        add_instances(pictures, sample["slide"], f"{where}.slide")
    pictures.embed(TILE_BYTES)
    similar = read_similar(sources, samples)
    return [_slide(sources, sample, where, pictures, similar[where]) for where, sample in samples]


def _maps(sample: Mapping[str, Any], where: str) -> list[tuple[str, str, Mapping[str, Any]]]:
    methods = read_table(sample.get("methods", {}), f"{where}.methods")
    return [
        (f"{where}.methods.{name}", name, read_table(entry, f"{where}.methods.{name}"))
        for name, entry in methods.items()
    ]


def _layers(sample: Mapping[str, Any], where: str) -> list[LayerEntry]:
    """Return the layers of a slide, that of the method by which tiles are ranked first."""
    target, ranked_by = str(sample.get("target") or ""), sample["slide"].get("ranked_by")
    layers = [LayerEntry(name, target, entry, place) for place, name, entry in _maps(sample, where)]
    return sorted(layers, key=lambda layer: layer.method != ranked_by)


def _add_maps(pictures: Pictures, sample: Mapping[str, Any], where: str, first: bool) -> None:
    """Take down the framed map that stands beside the slide, or all others."""
    for place, name, entry in _maps(sample, where):
        if (name == sample["slide"].get("ranked_by")) == first:
            pictures.add(entry.get("overlay_png"), place)


def _slide(
    sources: Sources, sample: Mapping[str, Any], where: str, pictures: Pictures, similar: Sequence[SimilarCase]
) -> ExplainedSlide:
    slide, place = sample["slide"], f"{where}.slide"
    framed = "view" not in slide
    maps = [
        SlideMap(
            method=name,
            image=pictures.get(entry.get("overlay_png"), at) if framed else None,
            low=read_number(entry.get("low"), f"{at}.low"),
            high=read_number(entry.get("high"), f"{at}.high"),
            unit=str(entry.get("unit") or "value"),
            tiff=str(entry.get("tiff") or ""),
            geojson=str(entry.get("geojson") or ""),
            ome_tiff=str(entry.get("ome_tiff") or ""),
            asap_xml=str(entry.get("asap_xml") or ""),
        )
        for at, name, entry in _maps(sample, where)
    ]
    ranked_by = str(slide.get("ranked_by") or "")
    tumour_tiles = _optional(slide, "tumour_tiles", place)
    return ExplainedSlide(
        case=read_case(sources, sample, where, similar=similar),
        tiles=int(read_number(slide.get("tiles"), f"{place}.tiles")),
        tile_um=_optional(slide, "tile_size_um", place),
        size_mm=_size_mm(slide, place),
        missing=str(slide.get("missing") or ""),
        logit=read_number(slide.get("logit"), f"{place}.logit"),
        ranked_by=ranked_by,
        tumour_tiles=None if tumour_tiles is None else int(tumour_tiles),
        lesions=_lesions(slide, place),
        view=read_view(pictures, slide.get("view"), _layers(sample, where), f"{place}.view"),
        thumbnail=pictures.get(slide.get("thumbnail_png"), f"{place}.thumbnail_png") if framed else None,
        maps=sorted(maps, key=lambda one: one.method != ranked_by),
        highest=read_instances(pictures, slide, "highest", place),
        lowest=read_instances(pictures, slide, "lowest", place),
        tile_px=_optional(slide, "tile_size_px", place),
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
    if slide.get("lesions") is None:
        return None
    return [
        Lesion(str(row.get("kind", "")), read_number(row.get("extent_um"), f"{place}.extent_um"))
        for place, row in read_rows(slide, "lesions", where)
    ]
