"""Labels that people gave, as a bundle's records have them, and their split into training and validation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from shared.data.errors import DataError
from shared.data.splits import split_by_group

__all__ = ["label_of", "split_labelled"]

Label = int | list[int | None]


def label_of(given: Any, classes: Sequence[str], multi_label: bool, key: str) -> Label:
    """Return a label as the bundle's records have it.

    Args:
        given: a class's name; of several findings a mapping of some of them to 0 or 1. A finding that is not named is
            not known, and is masked in training.
        classes: of the bundle.
        multi_label: whether there are several findings.
        key: of the item, for errors.

    Raises:
        DataError: naming what was found and expected.

    Example:
        >>> label_of("b", ["a", "b"], False, "x"), label_of({"b": 1}, ["a", "b"], True, "x")
        (1, [None, 1])
    """
    known = ", ".join(classes)
    if not multi_label:
        if not isinstance(given, str) or given not in classes:
            raise DataError(f"{key}: label {given!r}, expected one of {known}")
        return list(classes).index(given)
    if not isinstance(given, Mapping) or not given:
        raise DataError(f"{key}: label {given!r}, expected 0 or 1 for some of {known}")
    for name, value in given.items():
        if name not in classes or isinstance(value, bool) or value not in (0, 1):
            raise DataError(f"{key}: label {name!r}: {value!r}, expected 0 or 1 for some of {known}")
    return [given.get(name) for name in classes]


def split_labelled(
    records: Sequence[Mapping[str, Any]], group_key: str, validation_share: float, seed: int
) -> dict[str, list[dict[str, Any]]]:
    """Split labelled records by group, with every class in both sections as far as that is possible.

    Args:
        records: with ``label`` and the group.
        group_key: key of the group, a patient or donor.
        validation_share: of the records.
        seed: of the split.

    Returns:
        ``training`` and ``validation``.

    Raises:
        DataError: if there are not two groups of each class; of findings, if there are not two groups.
    """
    groups = [record[group_key] for record in records]
    labels = [record["label"] for record in records]
    if labels and isinstance(labels[0], list):
        present = np.array([[value == 1 for value in label] for label in labels], dtype=float)
        per_finding = [len({groups[row] for row in np.flatnonzero(column)}) for column in present.T]
        # a finding of one patient only cannot be in both
        kept = np.column_stack([np.ones(len(labels)), present[:, np.array(per_finding) >= 2]])
        balanced: Any = kept
    else:
        balanced = labels
    fractions = {"training": 1 - validation_share, "validation": validation_share}
    chosen = split_by_group(groups, balanced, fractions, seed)
    return {name: [dict(records[index]) for index in indices] for name, indices in chosen.items()}
