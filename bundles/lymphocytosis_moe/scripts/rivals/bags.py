"""Bags of feature vectors as the multiple-instance classifiers take them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from shared.data.errors import DataError
from shared.mil.ragged import check_lengths

__all__ = ["Bags", "append_attributes", "as_ragged", "bag_maxima", "bag_starts", "ranks_within_bags"]

Bags: TypeAlias = Sequence[NDArray] | tuple[NDArray, ArrayLike]


def as_ragged(bags: Bags) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the instances of all bags ``(T, F)`` and the number of instances of each, ``(B,)``.

    Args:
        bags: a list of B arrays ``(n_i, F)``, or a tuple of all instances ``(T, F)`` and the lengths ``(B,)``.

    Raises:
        DataError: if a bag is empty or no matrix, bags differ in their features, the lengths do not add up to T, or a
            feature is not finite.
    """
    if isinstance(bags, tuple):
        instances, lengths = np.asarray(bags[0], dtype=np.float64), np.asarray(bags[1], dtype=np.int64)
    else:
        if wrong := [i for i, bag in enumerate(bags) if np.ndim(bag) != 2 or np.shape(bag)[1] != np.shape(bags[0])[1]]:
            raise DataError(
                f"bag {wrong[0]} has shape {np.shape(bags[wrong[0]])}; expected (instances, features) with the same "
                "features in all bags"
            )
        if not len(bags):
            raise DataError("no bags; expected at least one")
        instances = np.concatenate([np.asarray(bag, dtype=np.float64) for bag in bags])
        lengths = np.array([len(bag) for bag in bags], dtype=np.int64)
    try:
        check_lengths(torch.from_numpy(lengths), len(instances))
    except ValueError as error:
        raise DataError(str(error)) from error
    if not np.isfinite(instances).all():
        row = int(np.flatnonzero(~np.isfinite(instances).all(axis=1))[0])
        bag = int(np.searchsorted(np.cumsum(lengths), row, side="right"))
        raise DataError(f"bag {bag} has a feature that is not finite; leave the instance out or compute it anew")
    return instances, lengths


def append_attributes(instances: NDArray, lengths: ArrayLike, attributes: NDArray) -> NDArray[np.float64]:
    """Append the attributes of each bag to each of its instances (early fusion).

    Source: Sahasrabudhe et al. 2020, section 3.2: age and lymphocyte count join the image features "in an early
    phase" into one data set for the multiple-instance classifiers.

    Args:
        instances: ``(T, F)``.
        lengths: instances of each bag, ``(B,)``.
        attributes: ``(B, A)``, as the classifier shall see them (see
            :func:`scripts.rivals.attribute_classifiers.attribute_inputs`).

    Returns:
        ``(T, F + A)``.

    Raises:
        DataError: if there are not as many rows of attributes as bags, or the lengths do not add up to T.

    Example:
        >>> append_attributes(np.zeros((3, 1)), [2, 1], np.array([[70.0, 2.5], [40.0, 1.8]]))[:, 1].tolist()
        [70.0, 70.0, 40.0]
    """
    instances, sizes = as_ragged((instances, lengths))
    if len(attributes) != len(sizes):
        raise DataError(f"{len(attributes)} rows of attributes for {len(sizes)} bags; expected one each")
    return np.column_stack([instances, np.repeat(np.asarray(attributes, dtype=np.float64), sizes, axis=0)])


def bag_starts(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the position of each bag's first instance, ``(B,)``."""
    return np.cumsum(lengths) - lengths


def bag_maxima(values: NDArray[np.float64], lengths: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the largest value of each bag, ``(B, ...)``, of values ``(T, ...)``."""
    return np.maximum.reduceat(values, bag_starts(lengths), axis=0)


def ranks_within_bags(scores: NDArray[np.float64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the rank of each instance in its bag, ``(T,)``: 0 for the highest score, ties in their order.

    Example:
        >>> ranks_within_bags(np.array([0.1, 0.9, 0.5, 0.2, 0.2]), np.array([3, 2])).tolist()
        [2, 0, 1, 0, 1]
    """
    order = np.lexsort((-scores, np.repeat(np.arange(len(lengths)), lengths)))
    ranks = np.empty(len(scores), dtype=np.int64)
    ranks[order] = np.arange(len(scores)) - np.repeat(bag_starts(lengths), lengths)
    return ranks
