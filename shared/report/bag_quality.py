"""How good explanations of bags are, from ``bag_quality`` of ``explanations/index.json``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shared.data.errors import DataError
from shared.report.measures import Estimate, read_estimates, read_number, read_table
from shared.report.sources import Sources

__all__ = ["LOW_IS_GOOD", "MEASURES", "BagQuality", "QualityRow", "read_bag_quality"]

#: in the order of the table
MEASURES = ("aupc_drop", "aupc_add", "aopc_r", "instance_ndcg", "instance_auc", "instance_ap", "froc", "peak_ratio")
LOW_IS_GOOD = ("aupc_drop", "peak_ratio")


@dataclass(frozen=True)
class QualityRow:
    """One method.

    Attributes:
        method: its key.
        measured: by measure.
    """

    method: str
    measured: Mapping[str, Estimate]


@dataclass(frozen=True)
class BagQuality:
    """The quality of all methods on the same bags.

    Attributes:
        positive: on positive bags.
        negative: on negative ones.
        curves: mean perturbation curves of the positive bags, 101 points, by method ``drop`` and ``add``.
        bags: number of positive and of negative bags.
        tumour_share: of an instance above which it is positive.
        lesions: number of lesions behind the FROC.
        froc_slides: number of slides behind it, with and without lesions.
        not_measured: why there are no perturbation measures.
    """

    positive: Sequence[QualityRow]
    negative: Sequence[QualityRow]
    curves: Mapping[str, Mapping[str, Sequence[float]]]
    bags: tuple[int, int]
    tumour_share: float | None
    lesions: int | None
    froc_slides: int | None
    not_measured: str

    def measures(self, rows: Sequence[QualityRow]) -> list[str]:
        """Return the measures that any of the rows has, in the order of the table."""
        return [name for name in MEASURES if any(name in row.measured for row in rows)]


def read_bag_quality(sources: Sources) -> BagQuality | None:
    """Read the quality; ``None`` if it was not measured.

    Raises:
        DataError: if it is malformed.
    """
    content = (sources.explanations or {}).get("bag_quality")
    if not content:
        return None
    where = f"{sources.files.get('explanations/index.json')}: bag_quality"
    table = read_table(content, where)
    slides = read_table(table.get("slides") or {}, f"{where}.slides")
    share = table.get("tumour_share")
    positive = _rows(table, "positive", where)
    froc = next((row.measured["froc"] for row in positive if "froc" in row.measured), None)
    return BagQuality(
        positive=positive,
        negative=_rows(table, "negative", where),
        curves=_curves(table, where),
        bags=(_count(slides, "positive", where), _count(slides, "negative", where)),
        tumour_share=None if share is None else read_number(share, f"{where}.tumour_share"),
        lesions=None if froc is None else froc.n,
        froc_slides=_froc_slides(table, where),
        not_measured=str(table.get("not_measured") or ""),
    )


def _rows(table: Mapping[str, Any], kind: str, where: str) -> list[QualityRow]:
    rows = []
    for method, entries in read_table(table.get(kind) or {}, f"{where}.{kind}").items():
        place = f"{where}.{kind}.{method}"
        found = read_estimates({key: entries[key] for key in MEASURES if key in read_table(entries, place)}, place)
        if found:
            rows.append(QualityRow(str(method), {estimate.name: estimate for estimate in found}))
    return rows


def _curves(table: Mapping[str, Any], where: str) -> dict[str, dict[str, list[float]]]:
    curves: dict[str, dict[str, list[float]]] = {}
    for method, kinds in read_table(table.get("curves") or {}, f"{where}.curves").items():
        place = f"{where}.curves.{method}"
        for kind, points in read_table(kinds, place).items():
            if not isinstance(points, list):
                raise DataError(f"{place}.{kind}: found {type(points).__name__}, expected a list; run explaining again")
            numbers = [read_number(point, f"{place}.{kind}") for point in points]
            curves.setdefault(method, {})[kind] = numbers
    return curves


def _froc_slides(table: Mapping[str, Any], where: str) -> int | None:
    """Return of how many slides the FROC is, the same for all methods; ``None`` where that is not said."""
    for method, entries in read_table(table.get("positive") or {}, f"{where}.positive").items():
        slides = read_table(entries.get("froc") or {}, f"{where}.positive.{method}.froc").get("slides")
        if slides is not None:
            return int(read_number(slides, f"{where}.positive.{method}.froc.slides"))
    return None


def _count(slides: Mapping[str, Any], kind: str, where: str) -> int:
    return 0 if slides.get(kind) is None else int(read_number(slides[kind], f"{where}.slides.{kind}"))
