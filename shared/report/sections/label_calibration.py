"""What calibrating fitted to each label of several: scale, decision threshold, and what to know of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shared.data.errors import DataError
from shared.report.measures import read_number, read_table
from shared.report.sources import Sources

__all__ = ["LabelRow", "label_calibration_section"]

KEY = "label_calibration"


@dataclass(frozen=True)
class LabelRow:
    """The fits of one label.

    Attributes:
        name: the label.
        slope: factor of the logit, 1 / T for a temperature.
        intercept: added to the scaled logit.
        threshold: calibrated probability above which the label is called present.
        loss: mean negative log-likelihood before and after, in nats; ``None`` if nothing was fitted.
        sensitivity: at the threshold, on the samples fitted on; ``None`` if nothing was fitted.
        specificity: likewise.
        n: samples with a known label, ``None`` if nothing was fitted.
        n_positive: those with the label.
        notes: what to know of the fit, or why there is none.
    """

    name: str
    slope: float
    intercept: float
    threshold: float
    loss: tuple[float, float] | None
    sensitivity: float | None
    specificity: float | None
    n: int | None
    n_positive: int | None
    notes: list[str]


def label_calibration_section(sources: Sources) -> dict[str, Any] | None:
    """Fits of each label; ``None`` for a model with one answer per sample.

    Raises:
        DataError: if the calibration file's entry is malformed.
    """
    table, where = sources.fitted(KEY)
    if not table:
        return None
    method = str(table.get("method"))
    labels = read_table(table.get("labels"), f"{where}.labels")
    undetermined = read_table(table.get("undetermined") or {}, f"{where}.undetermined")
    rows = [_row(name, entry, method, undetermined, f"{where}.labels.{name}") for name, entry in labels.items()]
    return {"method": method, "rows": rows, "split": (sources.calibration or {}).get("split")}


def _row(name: str, entry: Any, method: str, undetermined: Mapping[str, Any], where: str) -> LabelRow:
    fitted = read_table(entry, where)
    scale, youden = (read_table(fitted.get(key) or {}, f"{where}.{key}") for key in (method, "youden"))
    caveats = fitted.get("caveats") or []
    if not isinstance(caveats, list):
        raise DataError(f"{where}.caveats: found {caveats!r}, expected a list; run calibrating again")

    def number(table: Mapping[str, Any], key: str) -> float | None:
        return read_number(table[key], f"{where}.{key}") if table.get(key) is not None else None

    before, after = number(scale, "loss_before"), number(scale, "loss_after")
    n, n_positive = number(youden, "n"), number(youden, "n_positive")
    return LabelRow(
        name=name,
        slope=read_number(fitted.get("slope"), f"{where}.slope"),
        intercept=read_number(fitted.get("intercept"), f"{where}.intercept"),
        threshold=read_number(fitted.get("threshold"), f"{where}.threshold"),
        loss=None if before is None or after is None else (before, after),
        sensitivity=number(youden, "sensitivity"),
        specificity=number(youden, "specificity"),
        n=None if n is None else int(n),
        n_positive=None if n_positive is None else int(n_positive),
        notes=[*map(str, caveats), *([f"not fitted: {undetermined[name]}"] if name in undetermined else [])],
    )
