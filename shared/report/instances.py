"""The instances of a bag that count most, cells or tiles, as ``highest`` and ``lowest`` of the index say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shared.data.errors import DataError
from shared.report.images import EmbeddedImage
from shared.report.measures import read_number, read_table
from shared.report.pictures import Pictures

__all__ = ["SIDES", "Instance", "add_instances", "read_instances", "read_rows"]

#: the two ends of the ranking
SIDES = ("highest", "lowest")


@dataclass(frozen=True)
class Instance:
    """One instance of a bag.

    Attributes:
        name: which it is.
        rank: 1 for the highest value of the bag.
        value: by which the bag is ranked.
        standard_error: of a sampled value; ``None`` for an exact one.
        truth: what is known of it, in a word; empty if nothing.
        place: left and upper edge in the slide, pixels of level 0; ``None`` for what is no tile.
        tumour_share: share of a tile that is tumour; ``None`` if not known.
        image: its picture; ``None`` if there is none.
        reason: why there is no picture.
        overlay: its picture under an attribution map, in one.
        layer: the map alone, to be laid over the picture.
        outline: of the known cause.
    """

    name: str
    rank: int
    value: float
    standard_error: float | None
    truth: str
    place: tuple[int, int] | None
    tumour_share: float | None
    image: EmbeddedImage | None
    reason: str
    overlay: EmbeddedImage | None
    layer: EmbeddedImage | None
    outline: EmbeddedImage | None


def read_rows(holder: Mapping[str, Any], key: str, where: str) -> list[tuple[str, Mapping[str, Any]]]:
    """Return the objects of a list, each with its place for messages; none where the key is missing.

    Raises:
        DataError: if it is no list of objects.
    """
    rows, place = holder.get(key) or [], f"{where}.{key}"
    if not isinstance(rows, list):
        raise DataError(f"{place}: found {type(rows).__name__}, expected a list; run explaining again")
    return [(f"{place}[{i}]", read_table(row, f"{place}[{i}]")) for i, row in enumerate(rows)]


def add_instances(pictures: Pictures, holder: Mapping[str, Any], where: str) -> None:
    """Take down the pictures of a bag's instances.

    Raises:
        DataError: if an entry is malformed.
    """
    for side in SIDES:
        for place, row in read_rows(holder, side, where):
            pictures.add(row.get("image_png"), f"{place}.image_png")
            if row.get("layer_png") is None:
                pictures.add(row.get("overlay_png"), f"{place}.overlay_png")
            else:
                pictures.add_layer(row["layer_png"], f"{place}.layer_png")
                pictures.add_layer(row.get("outline_png"), f"{place}.outline_png")


def read_instances(pictures: Pictures, holder: Mapping[str, Any], side: str, where: str) -> Sequence[Instance]:
    """Return the instances of one end of the ranking, whose pictures were embedded.

    Raises:
        DataError: if an entry is malformed.
    """
    return [_instance(pictures, row, place) for place, row in read_rows(holder, side, where)]


def _instance(pictures: Pictures, row: Mapping[str, Any], where: str) -> Instance:
    def optional(key: str) -> float | None:
        return None if row.get(key) is None else read_number(row[key], f"{where}.{key}")

    layered = row.get("layer_png") is not None

    def picture(key: str, shown: bool = True) -> EmbeddedImage | None:
        return pictures.get(row.get(key), f"{where}.{key}") if shown else None

    place = None
    if "x" in row:
        x, y = (int(read_number(row.get(key), f"{where}.{key}")) for key in ("x", "y"))
        place = x, y
    return Instance(
        name=str(row.get("id", "")),
        rank=int(read_number(row.get("rank"), f"{where}.rank")),
        value=read_number(row.get("value"), f"{where}.value"),
        standard_error=optional("standard_error"),
        truth=str(row.get("truth") or ""),
        place=place,
        tumour_share=optional("tumour_share"),
        image=picture("image_png"),
        reason=str(row.get("reason") or ""),
        overlay=picture("overlay_png", not layered),
        layer=picture("layer_png"),
        outline=picture("outline_png", layered),
    )
