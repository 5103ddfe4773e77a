"""From the flat arrays of classical multiple-instance data sets to records of bags."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from shared.data.errors import DataError

__all__ = ["bags_from_arrays"]


def bags_from_arrays(
    features: np.ndarray,
    bag: np.ndarray,
    labels: Sequence[int] | np.ndarray,
    ids: Sequence[str] | None = None,
    **per_instance: np.ndarray,
) -> list[dict[str, Any]]:
    """Turn the flat layout of classical multiple-instance data sets into records.

    Args:
        features: ``(T, E)``.
        bag: index of each instance's bag, ``(T,)``, in any order.
        labels: one for each bag, ``(B,)``.
        ids: a name for each bag; by default its index.
        **per_instance: further arrays ``(T, ...)``, such as coordinates or instance labels.

    Returns:
        B records with ``id``, ``label``, ``features`` ``(N, E)``, the further arrays, and ``instance``, the row of each
        instance in ``features`` ``(N,)``.

    Raises:
        DataError: if the arrays differ in length, a bag's index is not within B, or a bag has no instance.
    """
    arrays = {"features": np.asarray(features), **{key: np.asarray(value) for key, value in per_instance.items()}}
    bag = np.asarray(bag)
    for key, array in arrays.items():
        if len(array) != len(bag):
            raise DataError(f"'{key}' has {len(array)} rows, but 'bag' has {len(bag)}; expected one for each instance")
    count = len(labels)
    names = [str(index) for index in range(count)] if ids is None else list(ids)
    if len(names) != count:
        raise DataError(f"found {len(names)} ids and {count} labels; expected one of each for each bag")
    if bag.size and (bag.min() < 0 or bag.max() >= count):
        raise DataError(f"'bag' ranges from {bag.min()} to {bag.max()}, but there are labels for 0 to {count - 1}")
    sizes = np.bincount(bag, minlength=count)
    if empty := [names[index] for index in np.flatnonzero(sizes == 0)]:
        raise DataError(f"bags without instances: {', '.join(empty)}; leave them out of the labels")
    rows = np.split(np.argsort(bag, kind="stable"), np.cumsum(sizes)[:-1])
    return [
        {
            "id": names[index],
            "label": int(labels[index]),
            **{key: array[rows[index]] for key, array in arrays.items()},
            "instance": rows[index],
        }
        for index in range(count)
    ]
