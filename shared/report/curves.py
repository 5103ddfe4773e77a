"""What the figures show, computed: row shares, reliability bins, risk and coverage, histograms. No drawing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from shared.data.errors import DataError
from shared.evaluation.proportion import wilson_interval
from shared.report.measures import read_number, read_table

__all__ = [
    "OperatingPoint",
    "ReliabilityBin",
    "RiskCoverage",
    "confidence_histogram",
    "operating_point",
    "oracle_risk",
    "read_reliability",
    "read_risk_coverage",
    "row_shares",
    "wilson",
]


def wilson(count: int, n: int) -> tuple[float, float]:
    """95 % Wilson score interval of the proportion ``count / n``."""
    low, high = wilson_interval(count, n)
    return float(low), float(high)


def row_shares(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Share of each row in ``counts`` ``(K, K)``; NaN in a row without samples."""
    totals = counts.sum(axis=1, keepdims=True)
    return np.divide(counts, totals, out=np.full(counts.shape, np.nan), where=totals > 0)


@dataclass(frozen=True)
class ReliabilityBin:
    """One bin of a reliability diagram.

    Attributes:
        confidence: mean stated probability.
        accuracy: observed frequency.
        count: number of samples.
        interval: 95 % Wilson interval of ``accuracy``.
        null: where ``accuracy`` lies with probability 95 % if the stated probability is true: quantiles of the binomial
            distribution with ``count`` trials and success probability ``confidence`` (consistency bar of Bröcker and
            Smith, Weather and Forecasting 22 (2007) 651).
    """

    confidence: float
    accuracy: float
    count: int
    interval: tuple[float, float]
    null: tuple[float, float]


def read_reliability(table: Any, where: str) -> list[ReliabilityBin]:
    """Read the filled bins of a reliability diagram, ``{"bins": [{"count", "confidence", "accuracy"}, …]}``.

    Raises:
        DataError: if the bins or a number in them is missing or out of range.
    """
    rows = read_table(table, where).get("bins")
    if not isinstance(rows, list):
        raise DataError(f"{where}.bins: found {rows!r}, expected a list of bins; run evaluating again")
    bins = []
    for i, row in enumerate(rows):
        place = f"{where}.bins[{i}]"
        entry = read_table(row, place)
        count = int(read_number(entry.get("count"), f"{place}.count"))
        if count > 0:
            stated, seen = (_fraction(entry.get(key), f"{place}.{key}") for key in ("confidence", "accuracy"))
            null = stats.binom.ppf([0.025, 0.975], count, stated) / count
            interval = wilson(round(seen * count), count)
            bins.append(ReliabilityBin(stated, seen, count, interval, (float(null[0]), float(null[1]))))
    return bins


def _fraction(value: Any, where: str) -> float:
    """Return a number in [0, 1]; rounding errors beyond the ends are taken off."""
    number = read_number(value, where)
    if not -1e-6 <= number <= 1 + 1e-6:
        raise DataError(f"{where}: found {number}, expected 0 to 1; run evaluating again")
    return min(max(number, 0.0), 1.0)


@dataclass(frozen=True)
class RiskCoverage:
    """Risk (error among the answered) ``(N,)`` over coverage (share that is answered) ``(N,)``, ascending."""

    coverage: NDArray[np.float64]
    risk: NDArray[np.float64]

    def at(self, coverage: float) -> float:
        """Risk at the nearest measured coverage that is not smaller."""
        return float(self.risk[min(int(np.searchsorted(self.coverage, coverage - 1e-12)), len(self.risk) - 1)])


def read_risk_coverage(table: Mapping[str, Any], where: str) -> RiskCoverage:
    """Read the lists ``coverage`` and ``risk``; a risk may be ``null`` where nothing was answered.

    Raises:
        DataError: if one is missing, or they are not numbers of equal count.
    """
    coverage, risk = table.get("coverage"), table.get("risk")
    if not isinstance(coverage, list) or not isinstance(risk, list) or not coverage or len(coverage) != len(risk):
        raise DataError(f"{where}: expected the lists coverage and risk, of equal length; run evaluating again")
    points = [
        (read_number(c, f"{where}.coverage[{i}]"), read_number(r, f"{where}.risk[{i}]"))
        for i, (c, r) in enumerate(zip(coverage, risk, strict=True))
        if r is not None
    ]
    if not points:
        raise DataError(f"{where}.risk: every entry is null, expected numbers; run evaluating again")
    columns = np.array(sorted(points, key=lambda point: point[0]))
    return RiskCoverage(columns[:, 0], columns[:, 1])


def oracle_risk(coverage: NDArray[np.float64], full_risk: float) -> NDArray[np.float64]:
    """Risk of a confidence that ranks every right answer above every wrong one: ``max(0, c − (1 − r)) / c``.

    Source: Geifman, Uziel and El-Yaniv, Bias-Reduced Uncertainty Estimation, ICLR 2019, section 3.
    """
    return np.maximum(0.0, coverage - (1.0 - full_risk)) / np.maximum(coverage, np.finfo(float).tiny)


@dataclass(frozen=True)
class OperatingPoint:
    """The decisions as taken: coverage and risk of what was accepted, with the 95 % Wilson interval of the risk."""

    coverage: float
    risk: float
    interval: tuple[float, float]
    accepted: int
    n: int


def operating_point(task: pd.DataFrame) -> OperatingPoint | None:
    """Where the decisions lie among the labelled samples of a task; ``None`` if none is labelled or none accepted."""
    known = task[task["label"] != ""]
    accepted = known[known["decision"] == "accept"]
    if accepted.empty:
        return None
    wrong = int((accepted["label"] != accepted["prediction"]).sum())
    n = len(accepted)
    return OperatingPoint(n / len(known), wrong / n, wilson(wrong, n), n, len(known))


def confidence_histogram(task: pd.DataFrame, bins: int = 20) -> dict[str, NDArray[np.int64]]:
    """Count the confidences of right answers, wrong answers and outliers in equal bins of [0, 1].

    Returns:
        ``{"right": (bins,), "wrong": (bins,), "outlier": (bins,)}``, without the groups that have no sample.
    """
    groups: dict[str, Sequence[float]] = {
        "right": task["confidence"][(task["label"] != "") & (task["label"] == task["prediction"])],
        "wrong": task["confidence"][(task["label"] != "") & (task["label"] != task["prediction"])],
        "outlier": task["confidence"][(task["label"] == "") & (task["kind"] != "")],
    }
    edges = np.linspace(0.0, 1.0, bins + 1)
    counts = {}
    for name, values in groups.items():
        numbers = np.asarray(values, dtype=np.float64)
        numbers = numbers[np.isfinite(numbers)]
        if len(numbers):
            counts[name] = np.histogram(np.clip(numbers, 0.0, 1.0), edges)[0].astype(np.int64)
    return counts
