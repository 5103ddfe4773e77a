"""What a generated sample's truth image says of its pixels: where the cause is, what misleads, what cannot matter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.data.errors import DataError

__all__ = ["TruthRegions", "read_cause", "read_truth"]

Masks = NDArray[np.bool_]


@dataclass(frozen=True)
class TruthRegions:
    """Which bit of a truth image marks what; ``None`` for what is not marked.

    Args:
        cause: the cause of the class.
        inside: the object; outside of it is background.
        distractor: structures drawn to mislead.
        shortcut: a mark that goes with a class without causing it.
    """

    cause: int | None = None
    inside: int | None = None
    distractor: int | None = None
    shortcut: int | None = None

    def of(self, records: Sequence[Mapping[str, Any]], shape: Sequence[int]) -> dict[str, Masks]:
        """Return ``cause``, ``background``, ``distractor`` and ``shortcut`` of records, as far as bits mark them.

        Args:
            records: with ``truth``, the path of a NumPy file with an integer array; a record without it has empty
                masks.
            shape: ``(H, W)``.

        Returns:
            Masks ``(N, H, W)`` by name; none if no record has a truth image.

        Raises:
            DataError: if a truth image is broken.
        """
        known = np.array(["truth" in record for record in records], dtype=bool)
        if not known.any():
            return {}
        bits = np.zeros((len(records), *shape), dtype=np.int64)
        for place in np.flatnonzero(known).tolist():
            bits[place] = read_truth(records[place]["truth"], shape)
        marked = {"cause": self.cause, "distractor": self.distractor, "shortcut": self.shortcut}
        regions = {name: (bits & bit) > 0 for name, bit in marked.items() if bit is not None}
        if self.inside is not None:
            regions["background"] = ((bits & self.inside) == 0) & known[:, None, None]
        return regions


def read_cause(record: Mapping[str, Any], bit: int | None, shape: Sequence[int]) -> Masks | None:
    """Return where the cause of a record's class is, ``(H, W)``; ``None`` if it is not known or nowhere.

    Args:
        record: with ``truth`` where known.
        bit: that marks the cause; ``None`` if none does.
        shape: ``(H, W)``.

    Raises:
        DataError: if the truth image is broken.
    """
    if bit is None or "truth" not in record:
        return None
    mask = (read_truth(record["truth"], shape) & bit) > 0
    return mask if mask.any() else None


def read_truth(path: str, shape: Sequence[int]) -> NDArray[np.integer]:
    """Read a truth image ``(H, W)``.

    Raises:
        DataError: if it cannot be read, or is of another shape or type.
    """
    try:
        truth = np.load(path, allow_pickle=False)
    except (OSError, EOFError, ValueError) as error:
        raise DataError(f"{path}: not a readable NumPy file ({error}); prepare the data anew") from error
    if not isinstance(truth, np.ndarray) or truth.shape != tuple(shape) or truth.dtype.kind not in "iu":
        found = f"{truth.dtype} {truth.shape}" if isinstance(truth, np.ndarray) else "an archive"
        raise DataError(f"{path}: expected an integer array {tuple(shape)}, found {found}; prepare the data anew")
    return truth
