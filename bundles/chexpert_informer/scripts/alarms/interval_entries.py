"""Arrays of a measured number and its resamples as entries with interval, p-value and detectable difference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from shared.evaluation.bootstrap import percentile_interval
from shared.evaluation.multi_label import mean_of_defined

__all__ = ["Entries", "EntryStyle", "Measures", "paired_p_values"]

Floats = NDArray[np.float64]
Measures = Mapping[tuple[str, str], Floats]
"""By use and metric, arrays whose first axis is the data and then its resamples."""
Entries = dict[str, dict[str, dict[str, dict[str, Any]]]]
"""By use, metric and finding, one entry."""

POWER = 0.8


class EntryStyle(NamedTuple):
    """How arrays of the data and its resamples become entries with intervals.

    Attributes:
        columns: names of the findings, then of their mean.
        level: nominal coverage.
        drawn: number of patients that the bootstrap draws from.
    """

    columns: tuple[str, ...]
    level: float
    drawn: int

    def entries(self, measures: Measures, alarm: int, *, paired: bool = False) -> Entries:
        """Return one alarm's entries by use, metric and finding, the mean over the findings last.

        Args:
            measures: ``(1 + R, A, K)``, the data first.
            alarm: index of the alarm.
            paired: whether the numbers are differences, which get a p-value.
        """
        result: Entries = {}
        for (use, metric), values in measures.items():
            per_finding = values[:, alarm]
            whole = np.concatenate([per_finding, mean_of_defined(per_finding)[:, None]], axis=1)  # (1 + R, K + 1)
            if np.isnan(whole).all():
                continue  # an alarm that does not rank has no ranking
            interval = replace(percentile_interval(whole[0], whole[1:], self.level), groups=self.drawn)
            own = {name: interval[index].to_json() for index, name in enumerate(self.columns)}
            if paired:
                self._add_tests(own, whole[1:])
            result.setdefault(use, {})[metric] = own
        return result

    def _add_tests(self, entries: dict[str, dict[str, Any]], resampled: Floats) -> None:
        factor = float(ndtri((1 + self.level) / 2) + ndtri(POWER))
        for name, p, column in zip(self.columns, paired_p_values(resampled), resampled.T, strict=True):
            defined = column[~np.isnan(column)]
            error = float(defined.std()) if defined.size else np.nan
            entries[name] |= {"p": float(p), "standard_error": error, "detectable": factor * error}


def paired_p_values(differences: Floats) -> Floats:
    """Return two-sided bootstrap p-values of paired differences.

    ``p = 2 min(P(Δ* ≤ 0), P(Δ* ≥ 0))``, each ``(1 + count) / (1 + R)`` so that it is never 0, at most 1. A resample in
    which the difference is not defined is left out. Where all differences are 0, p is 1.

    Args:
        differences: ``(R, …)``, NaN where not defined.

    Returns:
        ``(…)``; NaN where no resample is defined.
    """
    defined = ~np.isnan(differences)
    count = defined.sum(axis=0)
    below, above = ((defined & side).sum(axis=0) for side in (differences <= 0, differences >= 0))
    p = np.minimum(2 * (1 + np.minimum(below, above)) / (1 + count), 1.0)
    return np.where(count > 0, p, np.nan)
