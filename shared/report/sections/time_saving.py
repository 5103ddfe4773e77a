"""Reading time that the decisions save, and what other error rates would save."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shared.report.curves import RiskCoverage, read_risk_coverage
from shared.report.measures import Estimate, read_estimates, read_number, read_table
from shared.report.sources import Sources
from shared.report.time_saving_figure import SavingPoint, time_saving_figure

__all__ = ["SavingRow", "time_saving_section"]

KEY = "time_saving"


@dataclass(frozen=True)
class SavingRow:
    """What one way to accept answers saves.

    Attributes:
        title: what is accepted.
        n: number of cases.
        accepted: number of accepted ones.
        wrong: number of wrong ones among them.
        measured: by name, as the metrics file has them.
        target: error rate that was aimed at.
        threshold: confidence from which on is accepted.
        assumed: share of time that the formula promises.
    """

    title: str
    n: int
    accepted: int
    wrong: int
    measured: Mapping[str, Estimate]
    target: float | None = None
    threshold: float | None = None
    assumed: float | None = None


def time_saving_section(sources: Sources) -> dict[str, Any] | None:
    """Tables and figure; ``None`` if it was not measured.

    Raises:
        DataError: if it is malformed.
    """
    table, where = sources.measured(KEY)
    if not table:
        return None

    def value(key: str) -> float:
        return read_number(table.get(key), f"{where}.{key}")

    decided = _row("All accepted", table.get("decided"), f"{where}.decided")
    of_class = [
        _row(f"Only those accepted as {name}", entry, f"{where}.decided_as.{name}")
        for name, entry in read_table(table.get("decided_as") or {}, f"{where}.decided_as").items()
    ]
    deferral = [
        _row("", entry, f"{where}.deferral[{index}]") for index, entry in enumerate(table.get("deferral") or [])
    ]
    (error_rate,) = read_estimates({"error_rate": table.get("error_rate")}, where)
    cases, hours = int(value("cases")), value("hours_alone")
    return {
        "seconds": value("seconds_per_case"),
        "correction": value("seconds_per_correction"),
        "cases": cases,
        "hours": hours,
        "error_rate": error_rate,
        "split": str(sources.fitted("fitted_on")[0].get("section") or "validation"),
        "decided": [decided, *of_class],
        "deferral": deferral,
        "figure": _figure(sources, decided, deferral, cases, hours),
    }


def _row(title: str, entry: Any, where: str) -> SavingRow:
    table = read_table(entry, where)

    def optional(key: str) -> float | None:
        return None if table.get(key) is None else read_number(table[key], f"{where}.{key}")

    n, accepted, wrong = (int(read_number(table.get(key), f"{where}.{key}")) for key in ("n", "n_accepted", "n_wrong"))
    return SavingRow(
        title=title,
        n=n,
        accepted=accepted,
        wrong=wrong,
        measured={e.name: e for e in read_estimates(table, where)},
        target=optional("target_risk"),
        threshold=optional("threshold"),
        assumed=optional("assumed_share"),
    )


def _figure(sources: Sources, decided: SavingRow, deferral: list[SavingRow], cases: int, hours: float) -> str | None:
    selective, where = sources.measured("selective")
    if "coverage" not in selective:
        return None
    curve: RiskCoverage = read_risk_coverage(selective, where)
    points = [
        SavingPoint(row.accepted / row.n, cases * row.wrong / row.n, f"{100 * (row.target or 0):g} %")
        for row in deferral
        if row.accepted
    ]
    taken = SavingPoint(decided.accepted / decided.n, cases * decided.wrong / decided.n, "decisions as taken")
    return time_saving_figure(curve, taken, points, cases, hours, "time")
