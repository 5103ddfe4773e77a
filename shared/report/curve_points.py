"""The points of a curve as the metrics file lists them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.data.errors import DataError
from shared.report.measures import read_number

__all__ = ["read_columns"]


def read_columns(table: Mapping[str, Any], names: Sequence[str], where: str) -> NDArray[np.float64]:
    """Return lists of numbers of equal length as the rows of an array ``(len(names), N)``.

    Args:
        table: holds the lists.
        names: of the lists.
        where: file and key, for messages.

    Raises:
        DataError: if a list is missing or empty, lengths differ or a value is no number.
    """
    lists = [table.get(name) for name in names]
    if not all(isinstance(values, list) and values for values in lists) or len({len(v) for v in lists if v}) > 1:
        raise DataError(f"{where}: expected the lists {', '.join(names)}, of equal length; run evaluating again")
    return np.array(
        [
            [read_number(value, f"{where}.{name}[{i}]") for i, value in enumerate(values or [])]
            for name, values in zip(names, lists, strict=True)
        ]
    )
