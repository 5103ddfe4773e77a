"""From entries and intervals to the cells of a study's table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from shared.evaluation.bootstrap import Interval
from shared.study.measures import Estimate
from shared.study.table import Cell

__all__ = ["POINTS", "cell_of_entry", "cell_of_interval"]

#: differences of F1 are small: tables give them in hundredths
POINTS = 100.0


def cell_of_entry(entry: Mapping[str, Any], n: int, repeats: int, scale: float = 1.0) -> Cell:
    """Return the cell of an entry ``{"value", "ci95"}`` of an evaluation.

    Args:
        entry: where the bootstrap gives no interval, with its ``reason``.
        n: number of images.
        repeats: number of networks.
        scale: factor on value and interval.

    Example:
        >>> cell_of_entry({"value": 0.5, "ci95": None, "reason": "all resamples agree"}, 4, 1)
        '0.500 (all resamples agree)'
    """
    if entry["value"] is None or not np.isfinite(entry["value"]):
        return "not defined"
    if entry["ci95"] is None:
        return f"{scale * entry['value']:.3f} ({entry['reason']})"
    low, high = entry["ci95"]
    return Estimate(scale * entry["value"], scale * low, scale * high, n, repeats)


def cell_of_interval(interval: Interval, n: int, repeats: int, scale: float = 1.0) -> Cell:
    """Return the cell of the interval of one number."""
    return cell_of_entry(interval.to_json(), n, repeats, scale)
