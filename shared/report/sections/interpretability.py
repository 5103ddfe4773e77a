"""A table for each element of interpretability: methods by measures, with what chance would reach."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from shared.evaluation.interpretability.measures import Measure
from shared.report.elements import ElementRow, ElementTable, Method

__all__ = ["ElementColumn", "ElementGrid", "element_grids"]


@dataclass(frozen=True)
class ElementColumn:
    """A column of the table.

    Attributes:
        measure: what was measured.
        title: its name, with the tolerance where it was taken with one.
        of: of which of several things; ``None`` where there is one.
        chance: what chance reaches, where that is the same for all methods.
    """

    measure: Measure
    title: str
    of: str | None
    chance: float | None


@dataclass(frozen=True)
class ElementGrid:
    """An element as the page shows it.

    Attributes:
        table: all that is known of it.
        columns: of the table of methods; none if nothing was measured of any method.
        methods: each with a row for each column, ``None`` where there is none, and the largest number of samples.
    """

    table: ElementTable
    columns: Sequence[ElementColumn]
    methods: Sequence[tuple[Method, Sequence[ElementRow | None], str | None]]

    def of_kind(self, controls: bool) -> list[tuple[Method, Sequence[ElementRow | None], str | None]]:
        """Return the methods that are controls, or those that are not."""
        return [entry for entry in self.methods if entry[0].control == controls]


def element_grids(elements: Sequence[ElementTable]) -> list[ElementGrid]:
    """Arrange the numbers of each element."""
    return [_grid(table) for table in elements]


def _grid(table: ElementTable) -> ElementGrid:
    rows = [row for row in table.rows if row.method is not None and row.whole and row.measured]
    places = [(measure, of) for measure in table.measures for of in _things(rows, measure)]
    columns = [
        ElementColumn(measure, _title(rows, measure), of, _common_chance(rows, measure, of)) for measure, of in places
    ]
    methods = []
    for method in table.methods:
        cells = [_cell(table, measure, of, method) for measure, of in places]
        counts = [
            cell.estimate.n for cell in cells if cell is not None and cell.measured and cell.estimate.n is not None
        ]
        methods.append((method, cells, _range(counts)))
    return ElementGrid(table, columns, methods if columns else [])


def _range(counts: Sequence[int]) -> str | None:
    """Return how many samples measures were taken on, from the fewest to the most; ``None`` if that is not known."""
    if not counts:
        return None
    low, high = min(counts), max(counts)
    return str(low) if low == high else f"{low} to {high}"


def _things(rows: Sequence[ElementRow], measure: Measure) -> list[str | None]:
    """Return what a measure was taken of, each once."""
    return list(dict.fromkeys(row.of for row in rows if row.measure is measure))


def _title(rows: Sequence[ElementRow], measure: Measure) -> str:
    return next(row.title for row in rows if row.measure is measure)


def _cell(table: ElementTable, measure: Measure, of: str | None, method: Method) -> ElementRow | None:
    return next((row for row in table.cells(measure.name, method.name) if row.of == of), None)


def _common_chance(rows: Sequence[ElementRow], measure: Measure, of: str | None) -> float | None:
    found = {row.estimate.chance for row in rows if row.measure is measure and row.of == of}
    return found.pop() if len(found) == 1 else None
