"""The heart-to-chest ratio as it is read from a film, here from a mask of the lungs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["heart_to_chest_ratio"]


def heart_to_chest_ratio(lungs: NDArray[np.bool_]) -> float:
    """Return the widest extent of the heart's shadow over that of the chest, both across.

    Danzer, The cardiothoracic ratio: an index of cardiac enlargement, American Journal of the Medical Sciences 157
    (1919): from the midline to the right border of the heart, plus from there to the left border, each where it is
    widest, over the inner width of the chest. The midline is halfway between the outer borders of the lungs; the heart
    is what lies between the lungs above the diaphragm, below which they draw back from the middle.

    Args:
        lungs: mask of both lungs ``(H, W)``.

    Returns:
        The ratio; NaN if there are not two lungs beside a midline.
    """
    rows = np.flatnonzero(lungs.any(axis=1))
    if not len(rows):
        return float("nan")
    part = lungs[rows[0] : rows[-1] + 1]
    columns = np.flatnonzero(part.any(axis=0))
    first, last = int(columns[0]), int(columns[-1])
    middle = (first + last + 1) // 2
    right, left = part[:, :middle], part[:, middle:]  # of the patient
    if not (right.any() and left.any()):
        return float("nan")
    # the dome is highest half way across its lung; on the left the heart reaches there, and the side wall tells
    places = (first + middle) // 2, middle + 4 * (last - middle) // 5
    ends = [np.flatnonzero(part[:, column]) for column in places]
    level = min((int(end[-1]) for end in ends if len(end)), default=len(part) - 1)
    upper_right, upper_left = right[: level + 1], left[: level + 1]
    both = upper_right.any(axis=1) & upper_left.any(axis=1)
    if not both.any():
        return float("nan")
    to_right = np.argmax(upper_right[both, ::-1], axis=1)  # pixels from the midline to the lung
    to_left = np.argmax(upper_left[both], axis=1)
    lower = slice(len(to_right) // 3, None)  # higher up the great vessels and the neck are between the lungs
    return float((to_right[lower].max() + to_left[lower].max()) / (last - first + 1))
