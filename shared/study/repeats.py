"""From the parts of a repeat (its folds) to the whole, in which each sample is predicted once."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.study.run import AnyRun

__all__ = ["join_parts", "whole_repeats"]


def whole_repeats(
    runs: Sequence[AnyRun], done: Container[AnyRun], repeat_of: Callable[[AnyRun], int]
) -> tuple[dict[int, list[AnyRun]], dict[int, tuple[int, int]]]:
    """Tell the repeats that are done as a whole from those that lack a part.

    Args:
        runs: parts of several repeats of the same.
        done: runs that have a result.
        repeat_of: number of the repeat that a run is part of.

    Returns:
        The runs of each whole repeat, and of each other repeat how many of how many parts are done; in ascending order.
    """
    parts: dict[int, list[AnyRun]] = {}
    for run in sorted(runs, key=repeat_of):
        parts.setdefault(repeat_of(run), []).append(run)
    finished = {repeat: sum(run in done for run in group) for repeat, group in parts.items()}
    whole = {repeat: group for repeat, group in parts.items() if finished[repeat] == len(group)}
    lacking = {repeat: (finished[repeat], len(group)) for repeat, group in parts.items() if repeat not in whole}
    return whole, lacking


def join_parts(
    indices: Sequence[NDArray[np.integer]], parts: Sequence[Mapping[str, NDArray[Any]]]
) -> tuple[NDArray[np.integer], dict[str, NDArray[Any]]]:
    """Join what the parts of a repeat say of the samples that each of them holds out.

    Args:
        indices: numbers of the samples of each part, ``(N_i,)``.
        parts: arrays ``(N_i, ...)`` of each part by name, all with the names of the first.

    Returns:
        The numbers of all samples in ascending order, ``(N,)``, and the arrays ``(N, ...)`` in the same order.

    Example:
        >>> join_parts([np.array([3, 0]), np.array([1])], [{"p": np.array([0.3, 0.0])}, {"p": np.array([0.1])}])
        (array([0, 1, 3]), {'p': array([0. , 0.1, 0.3])})
    """
    index = np.concatenate(indices)
    order = np.argsort(index)
    return index[order], {name: np.concatenate([part[name] for part in parts])[order] for name in parts[0]}
