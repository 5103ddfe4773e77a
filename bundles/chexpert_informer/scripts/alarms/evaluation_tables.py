"""What was measured of the alarms as tables: the paper's table 1, and long tables for figures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from scripts.alarms.applied import AppliedAlarms
from scripts.alarms.interval_entries import Entries
from shared.calibration.selective import risk_coverage_curve

__all__ = ["long_table", "risk_coverage", "table_1"]

MAXIMUM_POINTS = 200


def table_1(metrics: Mapping[str, Entries]) -> list[dict[str, Any]]:
    """Return one row per alarm with the F1 of each finding after swapping and their mean, as in the paper's table 1."""
    rows = []
    for name, entries in metrics.items():
        f1 = entries["swapping"]["f1"]
        rows.append({"alarm": name} | {finding: entry["value"] for finding, entry in f1.items()})
    return rows


def long_table(nested: Mapping[Any, Entries], keys: tuple[str, ...]) -> pd.DataFrame:
    """Return one row per alarm, use, metric and finding, with value, low and high, and p for differences.

    Args:
        nested: entries by the values of the first columns, a tuple.
        keys: names of the first columns.
    """
    rows = []
    for names, uses in nested.items():
        for use, metrics in uses.items():
            for metric, findings in metrics.items():
                for finding, entry in findings.items():
                    low, high = next((v for k, v in entry.items() if k.startswith("ci")), None) or (np.nan, np.nan)
                    row: dict[str, Any] = dict(zip(keys, names, strict=True))
                    row |= {"use": use, "metric": metric, "finding": finding}
                    row |= {"value": entry["value"], "low": low, "high": high}
                    rows.append(row | ({"p": entry["p"]} if "p" in entry else {}))
    return pd.DataFrame(rows)


def risk_coverage(applied: AppliedAlarms) -> pd.DataFrame:
    """Return the curves of all alarms that rank, ``alarm``, ``finding``, ``coverage``, ``risk``."""
    parts = []
    for name, doubts in applied.doubts.items():
        for k, finding in enumerate(applied.classes):
            known = ~np.isnan(applied.label[:, k])
            if not known.any():
                continue
            # a prediction without a doubt is never flagged: it is kept longest
            order = np.unique(np.where(np.isnan(doubts[known, k]), -np.inf, doubts[known, k]), return_inverse=True)[1]
            wrong = applied.prediction[known, k] != applied.label[known, k]
            curve = risk_coverage_curve(-order, wrong)
            shown = np.unique(
                np.linspace(0, len(curve.risk) - 1, min(MAXIMUM_POINTS, len(curve.risk))).round().astype(int)
            )
            columns = {"alarm": name, "finding": finding, "coverage": curve.coverage[shown], "risk": curve.risk[shown]}
            parts.append(pd.DataFrame(columns))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
