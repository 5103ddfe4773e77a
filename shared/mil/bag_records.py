"""Records of single bags: what they must hold, and what they are called in errors.

A record is a dictionary. Its *ragged* keys hold one entry per instance along the first dimension: images
``(N, C, H, W)`` or features ``(N, E)``, coordinates ``(N, 2)``, instance labels ``(N,)``, instance ids (a list of N).
All other keys hold one value per bag.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from shared.data.errors import DataError

__all__ = ["Record", "bag_name", "bag_size", "plain_tensor"]

Record = Mapping[str, Any]


def bag_size(record: Record, ragged: Sequence[str], place: int) -> int:
    """Return the number of instances of a bag, the same under all its ragged keys.

    Args:
        record: of the bag.
        ragged: keys with one entry per instance.
        place: of the record among others, its name if it has no ``id``.

    Raises:
        DataError: if a ragged key is missing, two of them differ in length, or the bag is empty.
    """
    if missing := [key for key in ragged if key not in record]:
        raise DataError(f"{bag_name(record, place)}: found no '{missing[0]}'; its keys are {sorted(map(str, record))}")
    sizes = {key: len(record[key]) for key in ragged}
    if len(set(sizes.values())) > 1:
        found = ", ".join(f"'{key}' {size}" for key, size in sizes.items())
        raise DataError(f"{bag_name(record, place)}: keys with one entry per instance differ in length: {found}")
    size = next(iter(sizes.values()))
    if size == 0:
        raise DataError(
            f"{bag_name(record, place)}: the bag is empty ('{ragged[0]}' has no entry); leave it out of the data list"
        )
    return size


def plain_tensor(value: Any) -> torch.Tensor:
    """Return a plain tensor; MONAI's metadata of single images means nothing for a batch of bags."""
    as_tensor = getattr(value, "as_tensor", None)
    return as_tensor() if as_tensor is not None else torch.as_tensor(value)


def bag_name(record: Record, place: int) -> str:
    """Return how a record is named in an error."""
    return f"bag '{record['id']}'" if "id" in record else f"bag {place}"
