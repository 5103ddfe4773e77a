"""Wrong labels on purpose: how a classifier and its confidence bear mislabelled training data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = ["corrupt_labels"]


def corrupt_labels(
    records: Sequence[dict[str, Any]], rate: float, num_classes: int, seed: int, key: str = "label"
) -> list[dict[str, Any]]:
    """Give a share of the records a wrong label, drawn uniformly from the other classes.

    Exactly ``round(rate * len(records))`` labels are changed, so that the rate is met and not only expected.

    Args:
        records: records with an integer label under ``key``; they are not changed.
        rate: share of wrong labels, in [0, 1].
        num_classes: number of classes K.
        seed: seed of the draw.
        key: key of the label.

    Returns:
        Copies of the records; those with a wrong label keep the true one under ``true_<key>``.

    Raises:
        ValueError: if the rate is outside [0, 1], or wrong labels are asked for with fewer than two classes.

    Example:
        >>> records = [{"label": 0}] * 10
        >>> sum(record["label"] != 0 for record in corrupt_labels(records, 0.2, num_classes=4, seed=0))
        2
    """
    if not 0.0 <= rate <= 1.0:
        raise ValueError(f"the rate of wrong labels must be in [0, 1], found {rate}")
    copies = [dict(record) for record in records]
    count = round(rate * len(copies))
    if count and num_classes < 2:
        raise ValueError(f"a wrong label needs at least two classes, found num_classes = {num_classes}")
    rng = np.random.default_rng(seed)
    chosen = rng.choice(len(copies), size=count, replace=False)
    for index, shift in zip(chosen, rng.integers(1, max(num_classes, 2), size=count), strict=True):
        record = copies[index]
        record[f"true_{key}"] = record[key]
        record[key] = int((record[key] + shift) % num_classes)
    return copies
