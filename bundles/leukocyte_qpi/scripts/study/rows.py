"""What the table consists of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from scripts.study.measures import Estimate

__all__ = ["Row", "Section"]


@dataclass(frozen=True)
class Row:
    """One row.

    Attributes:
        network: name of the network.
        dropout: dropout rate; None where there is none.
        condition: what is particular about the row.
        cells: column name to estimate, or to a text.
    """

    network: str
    dropout: float | None
    condition: str
    cells: Mapping[str, Estimate | str]


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
    def columns(self) -> list[str]:
        """Names of the columns, in the order in which the rows bring them up."""
        return list(dict.fromkeys(name for row in self.rows for name in row.cells))
