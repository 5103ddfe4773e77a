"""Several sets of images of one patient: from separate smears, or drawn from all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["RANDOM_SUBSETS", "SMEARS", "ImageSets", "image_sets"]

SMEARS = "smears"
RANDOM_SUBSETS = "disjoint random subsets"


@dataclass(frozen=True)
class ImageSets:
    """Sets of images of one patient.

    Attributes:
        origin: ``SMEARS`` or ``RANDOM_SUBSETS``.
        members: indices of the images of each set.
        names: of the smears; numbers from 1 for random subsets.
    """

    origin: str
    members: list[NDArray[np.intp]]
    names: list[str]


def image_sets(record: Mapping[str, Any], count: int, rng: np.random.Generator) -> ImageSets | None:
    """Divide a patient's images into sets.

    Where the data say which smear an image is of, and the patient has at least ``count`` smears, the first ``count``
    of them (by name) are the sets, as in the paper. Otherwise the images are dealt at random into ``count`` subsets
    that do not overlap and whose sizes differ by one at most. These vary by the choice of cells only and not by the
    making of a smear, so that they flatter a model.

    Args:
        record: with ``image``, a list, and perhaps ``smear``, as long.
        count: number of sets.
        rng: source of randomness for the subsets.

    Returns:
        The sets; ``None`` for a patient with fewer images than sets.
    """
    n = len(record["image"])
    smears: Sequence[Any] = record.get("smear") or []
    names = sorted({str(name) for name in smears})
    if len(names) >= count:
        of_image = np.array([str(name) for name in smears])
        return ImageSets(SMEARS, [np.flatnonzero(of_image == name) for name in names[:count]], names[:count])
    if n < count:
        return None
    members = [np.sort(part) for part in np.array_split(rng.permutation(n), count)]
    return ImageSets(RANDOM_SUBSETS, members, [str(number + 1) for number in range(count)])
