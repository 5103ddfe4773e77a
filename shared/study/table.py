"""What a study's table consists of, and how its cells are written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import pandas as pd

from shared.study.measures import Estimate, RunsEstimate

__all__ = ["DASH", "Cell", "Picture", "Row", "Section", "Table", "html_cell", "long_frame", "markdown", "text_cell"]

Cell = Estimate | str
DASH = "\u2013"


@dataclass(frozen=True)
class Row:
    """One row.

    Attributes:
        names: what is measured: name of a column to text, empty where there is nothing to be named.
        cells: name of a column to an estimate, or to a text.
    """

    names: Mapping[str, str]
    cells: Mapping[str, Cell]

    @property
    def counts(self) -> tuple[str, str]:
        """Number of samples and of repeats, those of the first estimate; empty for a row of texts."""
        first = next((cell for cell in self.cells.values() if isinstance(cell, Estimate)), None)
        return ("", "") if first is None else (str(first.n), str(first.repeats))


@dataclass(frozen=True)
class Section:
    """Rows of one experiment.

    Attributes:
        title: of the section.
        note: how it was measured.
        rows: of the section.
    """

    title: str
    note: str
    rows: list[Row]

    @property
    def name_columns(self) -> list[str]:
        """Columns that name a row, in the order in which the rows bring them up."""
        return list(dict.fromkeys(name for row in self.rows for name in row.names))

    @property
    def columns(self) -> list[str]:
        """Columns of cells, in the order in which the rows bring them up."""
        return list(dict.fromkeys(name for row in self.rows for name in row.cells))

    def heads(self, row: Row) -> list[str]:
        """Return the texts of a row before its cells; dashes for what it does not have."""
        return [text or DASH for text in (*(row.names.get(name) for name in self.name_columns), *row.counts)]


@dataclass(frozen=True)
class Picture:
    """A picture that lies beside the table's files.

    Attributes:
        name: of the PNG file.
        caption: what it shows.
    """

    name: str
    caption: str


@dataclass(frozen=True)
class Table:
    """All that a study found.

    Attributes:
        title: of the page.
        warning: what must not be overlooked.
        reading: how to read the numbers.
        facts: sentences on data, training and cost.
        sections: those that have rows.
        left_out: what was not done, in words.
        repeats: what the repeats are called.
        pictures: shown below the sections.
    """

    title: str
    warning: str
    reading: str
    facts: list[str]
    sections: list[Section]
    left_out: list[str] = field(default_factory=list)
    repeats: str = "repeats"
    pictures: list[Picture] = field(default_factory=list)

    def header(self, section: Section) -> list[str]:
        """Return the names of a section's columns: what names a row, number of samples and repeats, cells."""
        return [*section.name_columns, "N", self.repeats, *section.columns]


def long_frame(sections: Sequence[Section]) -> pd.DataFrame:
    """Return one line for each number: section, what is measured, measure, value, interval, N and so on."""
    records: list[dict[str, Any]] = []
    for section in sections:
        for row in section.rows:
            for measure, cell in row.cells.items():
                content = asdict(cell) if isinstance(cell, Estimate) else {"text": cell}
                records.append({"section": section.title, **row.names, "measure": measure, **content})
    names = list(dict.fromkeys(name for section in sections for name in section.name_columns))
    columns = ["section", *names, "measure", *Estimate.__dataclass_fields__, "text"]
    return pd.DataFrame.from_records(records).reindex(columns=columns)


def markdown(table: Table) -> str:
    """Return the table as Markdown."""
    lines = [f"# {table.title}", "", f"**{table.warning}** {table.reading}", "", *(f"- {fact}" for fact in table.facts)]
    for section in table.sections:
        header = table.header(section)
        lines += ["", f"## {section.title}", "", section.note, ""]
        lines += ["| " + " | ".join(header) + " |", "|" + " --- |" * len(header)]
        for row in section.rows:
            texts = [*section.heads(row), *(text_cell(row.cells.get(name)) for name in section.columns)]
            lines.append("| " + " | ".join(texts) + " |")
    for picture in table.pictures:
        lines += ["", f"![{picture.caption}]({picture.name})", "", picture.caption]
    if table.left_out:
        lines += ["", "## Left out", "", *(f"- {text}" for text in table.left_out)]
    return "\n".join(lines) + "\n"


def text_cell(cell: Cell | None) -> str:
    """Write a cell on one line.

    Example:
        >>> text_cell(Estimate(0.5, 0.25, 0.75, 10, 3, null_high=0.1))
        '0.500 [0.250, 0.750], null ≤ 0.100'
    """
    if cell is None:
        return DASH
    if isinstance(cell, str):
        return cell
    return ", ".join([f"{cell.value:.3f} [{cell.low:.3f}, {cell.high:.3f}]", *_remarks(cell)])


def html_cell(cell: Cell | None) -> dict[str, str]:
    """Return the parts of a cell: ``value``, ``interval`` and ``remark``, and ``kind`` for its style."""
    if cell is None:
        return {"value": DASH, "interval": "", "remark": "", "kind": "none"}
    if isinstance(cell, str):
        kind = next((word for word in ("met", "missed") if cell.startswith(word)), "text")
        return {"value": cell, "interval": "", "remark": "", "kind": kind}
    return {
        "value": f"{cell.value:.3f}",
        "interval": f"{cell.low:.3f} to {cell.high:.3f}",
        "remark": ", ".join(_remarks(cell)),
        "kind": "number",
    }


def _remarks(cell: Estimate) -> list[str]:
    spread = cell.repeat_sd if isinstance(cell, RunsEstimate) else None
    remarks = {"SD": spread, "null ≤": cell.null_high, "chance": cell.chance, "paper": cell.published}
    return [f"{name} {value:.3f}" for name, value in remarks.items() if value is not None]
