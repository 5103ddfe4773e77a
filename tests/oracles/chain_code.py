"""Moore's boundary following: one pixel after the other, clockwise, until the first step is repeated."""

from __future__ import annotations

import numpy as np

_CLOCKWISE = [(-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1)]


def moore_boundary(mask):
    """Return the pixels of the outer boundary of an 8-connected object in the order of the walk."""
    padded = np.pad(mask, 1)
    start = tuple(np.argwhere(padded)[0])
    if padded.sum() == 1:
        return np.array([start]) - 1
    walk, here, entered = [start], start, 6  # the pixel to the left of the first is background
    first_move = None
    while True:
        for turn in range(1, 9):
            direction = (entered + turn) % 8
            there = (here[0] + _CLOCKWISE[direction][0], here[1] + _CLOCKWISE[direction][1])
            if padded[there]:
                break
        if first_move is None:
            first_move = (here, direction)
        elif (here, direction) == first_move:
            return np.array(walk[:-1]) - 1
        walk.append(there)
        # go on from the last background pixel looked at, seen from the new pixel
        blank = _CLOCKWISE[(direction - 1) % 8]
        offset = (here[0] + blank[0] - there[0], here[1] + blank[1] - there[1])
        entered, here = _CLOCKWISE.index(offset), there
