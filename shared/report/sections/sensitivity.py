"""The wanted sensitivity: what calibrating promised, and what was measured at its threshold."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.data.errors import DataError
from shared.report.figures import confusion_figure
from shared.report.formats import percent, whole_percent
from shared.report.measures import Estimate, read_estimates, read_number
from shared.report.sources import Sources

__all__ = ["sensitivity_section"]

KEY = "wanted_sensitivity"


def sensitivity_section(sources: Sources) -> dict[str, Any] | None:
    """Promise in words, rates and confusion matrix at the threshold; ``None`` if no sensitivity was asked for.

    Raises:
        DataError: if what was measured is malformed.
    """
    table, where = sources.measured(KEY)
    if not table:
        return None

    def value(key: str) -> float:
        return read_number(table.get(key), f"{where}.{key}")

    positive, threshold = str(table.get("class")), table.get("threshold")
    others = [name for name in sources.classes if name != positive]
    other = others[0] if len(others) == 1 else "another class"
    unseen = {"accepted_as_other": table.get("accepted_as_other")}
    section: dict[str, Any] = {
        "positive": positive,
        "other": other,
        "target": whole_percent(value("target")),
        "miss_rate": whole_percent(1 - value("target")),
        "by": str(table.get("by")),
        "split": str(table.get("split") or "validation"),
        "nominal": table.get("nominal"),
        "n_positive": int(value("n_positive")),
        "n_groups": int(value("n_groups")),
        "n_needed": int(value("n_needed")),
        "n_here": int(value("n_positive_here")),
        "unseen": read_estimates(unseen, where)[0] if table.get("accepted_as_other") else None,
        "unseen_count": _count(table.get("accepted_as_other"), f"{where}.accepted_as_other"),
        "threshold": None,
        "sensitivity": None,
        "specificity": None,
        "verdict": "",
        "figure": None,
    }
    if threshold is None:
        return section
    at = {e.name: e for e in read_estimates(table.get("at_threshold") or {}, f"{where}.at_threshold")}
    counts = _matrix((table.get("at_threshold") or {}).get("confusion_matrix"), f"{where}.at_threshold")
    section |= {
        "threshold": value("threshold"),
        "missed": int(value("missed")),
        "bound": None if table.get("miss_rate_bound") is None else value("miss_rate_bound"),
        "level": whole_percent(value("level")),
        "sensitivity": at.get("sensitivity"),
        "specificity": at.get("specificity"),
        "verdict": _verdict(at.get("sensitivity"), value("target"), section["split"]),
        "counts": counts.tolist(),
        "figure": confusion_figure(counts, [other, positive], "cmsens"),
    }
    return section


def _verdict(measured: Estimate | None, target: float, split: str) -> str:
    """Say how the measured sensitivity lies to the target, by its interval."""
    if measured is None or measured.value is None:
        return ""
    if measured.interval is None:
        return f"{percent(measured.value)} here; no interval, so that nothing is shown"
    low, high = measured.interval
    wanted = f"the {whole_percent(target)} wanted"
    if high < target:
        return f"below {wanted}: these cases are not like the {split} ones"
    return f"above {wanted}" if low > target else f"agrees with {wanted}"


def _count(entry: Any, where: str) -> int:
    return int(read_number((entry or {}).get("count"), f"{where}.count")) if entry else 0


def _matrix(rows: Any, where: str) -> NDArray[np.int64]:
    found = rows if isinstance(rows, list) else []
    if [len(row) if isinstance(row, list) else 0 for row in found] != [2, 2]:
        raise DataError(f"{where}.confusion_matrix: found {rows!r}, expected 2 by 2 counts; run evaluating again")
    return np.array(
        [[int(read_number(count, f"{where}.confusion_matrix")) for count in row] for row in found], dtype=np.int64
    )
