"""Results in subgroups of the samples, and where they differ from all others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shared.evaluation.subgroups import excludes_zero, expected_by_chance, key_title
from shared.report.instances import read_rows
from shared.report.measures import Estimate, read_estimates, read_number, read_table
from shared.report.sources import Sources

__all__ = ["SubgroupRow", "subgroup_section"]


@dataclass(frozen=True)
class SubgroupRow:
    """One subgroup.

    Attributes:
        name: what its samples have in common.
        n: number of samples.
        metrics: by name.
        differences: to all other samples, by name.
    """

    name: str
    n: int
    metrics: Mapping[str, Estimate]
    differences: Mapping[str, Estimate]

    def differs(self, name: str) -> bool:
        """Whether the interval of the difference to all others excludes 0."""
        difference = self.differences.get(name)
        return difference is not None and excludes_zero(difference.interval)


def subgroup_section(sources: Sources) -> dict[str, Any] | None:
    """Return a table for each key that divides the samples, and the reasons why others do not; ``None`` without any.

    Raises:
        DataError: if an entry is malformed.
    """
    table, where = sources.measured("subgroups")
    if not table:
        return None
    tables, reasons = {}, {}
    for key, entry in table.items():
        place = f"{where}.{key}"
        rows = [_row(row, at) for at, row in read_rows(read_table(entry, place), "groups", place)]
        if rows:
            tables[key] = rows
        else:
            reasons[key_title(key)] = str(entry.get("reason") or "not measured")
    differences = [difference for rows in tables.values() for row in rows for difference in row.differences.values()]
    compared = sum(difference.interval is not None for difference in differences)
    return {
        "tables": tables,
        "titles": {key: key_title(key) for key in tables},
        "reasons": reasons,
        "measures": {
            key: list(dict.fromkeys(name for row in rows for name in row.metrics)) for key, rows in tables.items()
        },
        "compared": compared,
        "without_interval": len(differences) - compared,
        "by_chance": expected_by_chance(compared),
        "differ": sum(row.differs(name) for rows in tables.values() for row in rows for name in row.differences),
    }


def _row(row: Mapping[str, Any], where: str) -> SubgroupRow:
    return SubgroupRow(
        name=str(row.get("name", "")),
        n=int(read_number(row.get("n"), f"{where}.n")),
        metrics={e.name: e for e in read_estimates(row.get("metrics") or {}, f"{where}.metrics")},
        differences={e.name: e for e in read_estimates(row.get("against_rest") or {}, f"{where}.against_rest")},
    )
