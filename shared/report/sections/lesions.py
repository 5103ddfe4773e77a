"""What was found and what was missed, by the size of the lesions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from shared.data.errors import DataError
from shared.report.lesion_figure import LesionPoint, lesion_figure
from shared.report.measures import Estimate, read_estimates, read_number, read_table
from shared.report.sources import Sources

__all__ = ["LesionCase", "lesion_section"]

KEY = "lesions"
#: rows that a page can be read with; the metrics file has all
MOST_ROWS = 60


@dataclass(frozen=True)
class LesionCase:
    """One case with lesions, as the page writes it: numbers with their units, or what stands in their place."""

    id: str
    kind: str
    lesions: str
    largest: str
    area: str
    probability: float
    decision: str
    found: bool
    note: str


def lesion_section(sources: Sources) -> dict[str, Any] | None:
    """Sensitivity by size, list of the missed, figure; ``None`` if it was not measured.

    Raises:
        DataError: if it is malformed.
    """
    table, where = sources.measured(KEY)
    if not table:
        return None
    rows = table.get("cases")
    if not isinstance(rows, list):
        raise DataError(f"{where}.cases: found {rows!r}, expected a list; run evaluating again")
    titles = {
        kind: str(read_table(entry, f"{where}.kinds.{kind}").get("title") or kind)
        for kind, entry in read_table(table.get("kinds"), f"{where}.kinds").items()
    }
    cases = [_case(read_table(row, f"{where}.cases[{i}]"), titles, f"{where}.cases[{i}]") for i, row in enumerate(rows)]
    points = [
        LesionPoint(float(row["largest_mm"]), case.probability, case.found, case.decision == "accept")
        for row, case in zip(rows, cases, strict=True)
        if row.get("largest_mm")
    ]
    missed = [case for case in cases if not case.found]
    wanted = sources.measured("wanted_sensitivity")[0].get("threshold")
    positive = str(table.get("class"))
    return {
        "positive": positive,
        "n": len(cases),
        "kinds": [_kind(entry, f"{where}.kinds.{kind}") for kind, entry in table["kinds"].items()],
        "missed": missed[:MOST_ROWS],
        "n_missed": len(missed),
        "n_unseen": sum(case.decision == "accept" for case in missed),
        "found": [case for case in cases if case.found][:MOST_ROWS],
        "figure": lesion_figure(points, positive, wanted, "lesions") if points else None,
        "unmeasured": len(cases) - len(points),
    }


def _kind(entry: Any, where: str) -> tuple[str, int, int, Estimate, int, Estimate]:
    """Return title, number of cases, found and accepted as other: count and estimate each."""
    found, unseen = (read_table(entry.get(key), f"{where}.{key}") for key in ("found", "accepted_as_other"))
    estimates = {e.name: e for e in read_estimates({"found": found, "unseen": unseen}, where)}
    counts = [int(read_number(part.get("count"), f"{where}.count")) for part in (found, unseen)]
    n = int(read_number(entry.get("n"), f"{where}.n"))
    return str(entry.get("title")), n, counts[0], estimates["found"], counts[1], estimates["unseen"]


def _case(row: Any, titles: dict[str, str], where: str) -> LesionCase:
    kind = str(row.get("kind"))
    least = "at least " if row.get("partial") else ""

    def size(key: str, unit: str) -> str:
        if row.get(key) is None:
            return "not known"
        measured = read_number(row[key], f"{where}.{key}")
        return f"{least}{_rounded(measured) if unit else int(measured)}{unit}"

    return LesionCase(
        id=str(row.get("id")),
        kind=titles.get(kind, kind),
        lesions=size("lesions", ""),
        largest=size("largest_mm", "\u202fmm"),
        area=size("area_mm2", "\u202fmm²"),
        probability=read_number(row.get("probability"), f"{where}.probability"),
        decision=str(row.get("decision")),
        found=row.get("found") is True,
        note=str(row.get("reason") or ""),
    )


def _rounded(value: float) -> str:
    """Write a size to two significant digits, those above 10 in full."""
    return f"{value:.0f}" if value >= 10 else f"{value:#.2g}"
