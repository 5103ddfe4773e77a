"""Ranks of the pixels of each map, or of the instances of each bag, ties given the mean of the places they share."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["average_ranks", "ragged_ranks", "tie_bounds"]


def tie_bounds(ordered: NDArray[np.floating]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return the first and the last place of the values that tie with each one.

    Args:
        ordered: rows in ascending or in descending order, ``(B, P)``.

    Returns:
        Places from 0 on, ``(B, P)`` each.

    Example:
        >>> [bound.tolist() for bound in tie_bounds(np.array([[1.0, 2.0, 2.0, 5.0]]))]
        [[[0, 1, 1, 3]], [[0, 2, 2, 3]]]
    """
    n = ordered.shape[1]
    new = np.ones(ordered.shape, dtype=bool)
    np.not_equal(ordered[:, 1:], ordered[:, :-1], out=new[:, 1:])
    places = np.arange(n, dtype=np.int32)
    if new.all():
        every = np.broadcast_to(places, ordered.shape)
        return every, every
    first = np.maximum.accumulate(np.where(new, places, 0), axis=1)
    ends = np.ones(ordered.shape, dtype=bool)
    ends[:, :-1] = new[:, 1:]
    last = np.minimum.accumulate(np.where(ends, places, n)[:, ::-1], axis=1)[:, ::-1]
    return first, last


def average_ranks(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the rank of each value within its row, from 1 on: ``(B, P)`` to ``(B, P)``.

    Example:
        >>> average_ranks(np.array([[3.0, 1.0, 3.0]])).tolist()
        [[2.5, 1.0, 2.5]]
    """
    order = np.argsort(values, axis=1)
    first, last = tie_bounds(np.take_along_axis(values, order, axis=1))
    ranks = np.empty(values.shape)
    # flat places: put_along_axis took five times longer
    order += values.shape[1] * np.arange(len(values))[:, None]
    ranks.reshape(-1)[order] = (first + last) / 2 + 1
    return ranks


def ragged_ranks(values: NDArray[np.floating], lengths: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return the rank of each instance's value within its bag, from 1 on.

    Args:
        values: of the instances of all bags, one bag after another, ``(T,)``.
        lengths: number of instances of each bag, ``(B,)``, adding up to T.

    Example:
        >>> ragged_ranks(np.array([5.0, 2.0, 7.0, 7.0]), np.array([2, 2])).tolist()
        [2.0, 1.0, 1.5, 1.5]
    """
    bag = np.repeat(np.arange(len(lengths)), lengths)
    order = np.lexsort((values, bag))
    ordered, places = values[order], np.arange(len(values))
    new = np.ones(len(values), dtype=bool)
    new[1:] = (ordered[1:] != ordered[:-1]) | (bag[1:] != bag[:-1])
    starts = np.flatnonzero(new)
    group = np.cumsum(new) - 1
    ends = np.append(starts[1:], len(values)) - 1
    ranks = np.empty(len(values))
    ranks[order] = (starts[group] + ends[group]) / 2 + 1
    return ranks - (np.cumsum(lengths) - lengths)[bag] if len(places) else ranks
