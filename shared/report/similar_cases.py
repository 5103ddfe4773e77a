"""Training cases that the network holds for most alike, as ``similar`` of an explained sample lists them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shared.report.images import EmbeddedImage
from shared.report.instances import read_rows
from shared.report.measures import read_number
from shared.report.pictures import Pictures
from shared.report.sources import Sources

__all__ = ["SimilarCase", "read_similar"]

PICTURE_BYTES = 150_000
#: longer sides that are tried, pixels: they are shown small
PICTURE_SIDES = (160, 120, 90)


@dataclass(frozen=True)
class SimilarCase:
    """A training case.

    Attributes:
        id: which it is.
        label: its class; empty if unknown.
        similarity: cosine of both embeddings, -1 to 1.
        image: its picture; ``None`` if there is none.
        searched: how many of how many training cases were compared; ``None`` for all.
    """

    id: str
    label: str
    similarity: float
    image: EmbeddedImage | None
    searched: tuple[int, int] | None = None


def read_similar(
    sources: Sources, samples: Sequence[tuple[str, Mapping[str, Any]]]
) -> dict[str, Sequence[SimilarCase]]:
    """Return the similar cases of explained samples.

    Args:
        sources: the files.
        samples: place for messages and entry of each.

    Returns:
        Place to cases, the most similar first as the index has them; empty where it has none.

    Raises:
        DataError: if an entry is malformed, or a picture is missing, unreadable or outside the evaluation folder.
    """
    pictures = Pictures(sources.eval_dir)
    rows = {where: read_rows(sample, "similar", where) for where, sample in samples}
    for entries in rows.values():
        for place, row in entries:
            pictures.add(row.get("image_png"), f"{place}.image_png")
    pictures.embed(PICTURE_BYTES, sides=PICTURE_SIDES)
    return {
        where: [
            SimilarCase(
                id=str(row.get("id", "")),
                label="" if row.get("label") is None else str(row["label"]),
                similarity=read_number(row.get("similarity"), f"{place}.similarity"),
                image=pictures.get(row.get("image_png"), f"{place}.image_png"),
                searched=_searched(row, place),
            )
            for place, row in entries
        ]
        for where, entries in rows.items()
    }


def _searched(row: Mapping[str, Any], place: str) -> tuple[int, int] | None:
    if row.get("candidates") is None:
        return None
    return int(read_number(row["candidates"], f"{place}.candidates")), int(read_number(row.get("of"), f"{place}.of"))
