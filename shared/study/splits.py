"""Who is trained on, on whom choices are made, and who is held out."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.model_selection import StratifiedKFold, train_test_split

from shared.data.errors import DataError
from shared.data.splits import split_by_group

__all__ = ["Split", "cross_validation", "grouped_cross_validation", "leave_one_group_out", "other_validation"]

Indices = NDArray[np.intp]


class Split(NamedTuple):
    """Indices of each section, named as in a datalist; nothing is in two."""

    training: Indices
    validation: Indices
    test: Indices


def cross_validation(strata: ArrayLike, folds: int, validation_share: float, seed: int) -> list[Split]:
    """Partition samples so that each is held out exactly once, with all strata in equal shares.

    Args:
        strata: stratum of each sample ``(N,)``: its class, say.
        folds: number of folds.
        validation_share: share of what is not held out.
        seed: seed of the partition and of the choice of the validation samples.

    Returns:
        One split for each fold.

    Raises:
        DataError: if a stratum has too few samples for the folds, or for both parts of what is not held out.
    """
    names, index = np.unique(np.asarray(strata), return_inverse=True)
    smallest = int(np.bincount(index).min())
    if smallest < folds:
        rarest = names[np.bincount(index).argmin()]
        raise DataError(f"'{rarest}' has only {smallest} samples, too few for {folds} folds; add samples or use fewer")
    return [
        _with_validation(names[index], rest, held_out, validation_share, seed)
        for rest, held_out in StratifiedKFold(folds, shuffle=True, random_state=seed).split(index, index)
    ]


def grouped_cross_validation(
    groups: ArrayLike, labels: ArrayLike, folds: int, validation_share: float, seed: int
) -> list[Split]:
    """Partition samples of several labels so that each is held out exactly once, and no group is in two sections.

    Labels that enough groups have are in all sections, in about equal shares; see
    :func:`shared.data.splits.split_by_group`. So are the samples without any label.

    Args:
        groups: patient of each sample ``(N,)``.
        labels: ``(N, K)``, 1 where a label holds; anything else counts as absent.
        folds: number of folds.
        validation_share: share of what is not held out.
        seed: seed of the partition and of the choice of the validation samples.

    Returns:
        One split for each fold.

    Raises:
        DataError: if there are too few groups.
    """
    names, present = np.asarray(groups), np.asarray(labels) == 1
    columns = np.column_stack([present, ~present.any(axis=1)])  # (N, K + 1)

    def divide(rows: Indices, fractions: dict[str, float]) -> list[Indices]:
        owners = [set(names[rows][column]) for column in columns[rows].T]
        enough = np.array([len(owner) >= len(fractions) for owner in owners])
        parts = split_by_group(names[rows].tolist(), columns[rows][:, enough].astype(int), fractions, seed)
        return [rows[part] for part in parts.values()]

    everyone = np.arange(len(names))
    splits = []
    for held_out in divide(everyone, {f"fold {number + 1}": 1 / folds for number in range(folds)}):
        rest = np.setdiff1d(everyone, held_out)
        training, validation = divide(rest, {"training": 1 - validation_share, "validation": validation_share})
        splits.append(Split(training, validation, held_out))
    return splits


def other_validation(split: Split, strata: ArrayLike, number: int, seed: int) -> Split:
    """Exchange the validation samples of a split for others of its training samples.

    The splits of all numbers have disjoint validation samples of the same number, up to one of each stratum, and the
    same test samples. Networks that are trained on each have seen, together, all that is not held out.

    Args:
        split: what number 0 is.
        strata: stratum of each sample ``(N,)``: its class, say.
        number: 0 to the number of splits that there are room for, excluding it: 4 with a quarter for validation.
        seed: seed of the choice.

    Raises:
        DataError: if the number is too large.
    """
    if number == 0:
        return split
    parts = round(len(split.training) / len(split.validation))
    if not 0 < number <= parts:
        raise DataError(
            f"there is room for {parts + 1} splits with {len(split.validation)} of "
            f"{len(split.training) + len(split.validation)} samples for validation, found number {number + 1}; ask for "
            "fewer members, or a smaller share for validation"
        )
    names, index = np.unique(np.asarray(strata)[split.training], return_inverse=True)
    if np.bincount(index).min() < parts:
        rarest = names[np.bincount(index).argmin()]
        raise DataError(f"'{rarest}' has too few samples for {parts} parts of the training samples; add samples")
    partition = StratifiedKFold(parts, shuffle=True, random_state=seed).split(index, index) if parts > 1 else ()
    chosen = [held for _, held in partition][number - 1] if parts > 1 else np.arange(len(index))
    validation = split.training[chosen]
    training = np.concatenate([np.delete(split.training, chosen), split.validation])
    return Split(np.sort(training), np.sort(validation), split.test)


def leave_one_group_out(strata: ArrayLike, groups: ArrayLike, validation_share: float, seed: int) -> dict[str, Split]:
    """Hold out each group in turn: train and validate on the others, test on all of it.

    Args:
        strata: stratum of each sample ``(N,)``, in equal shares in training and validation.
        groups: group of each sample ``(N,)``: the source that it comes from, say.
        validation_share: share of what is not held out.
        seed: seed of the choice of the validation samples.

    Returns:
        The split by the name of the group that is held out.

    Raises:
        DataError: if there is only one group, or a stratum has too few samples.
    """
    group = np.asarray(groups)
    names = np.unique(group)
    if len(names) < 2:
        raise DataError(f"holding out one of several groups needs at least two, found {names.tolist()}")
    return {
        str(name): _with_validation(
            np.asarray(strata), np.flatnonzero(group != name), np.flatnonzero(group == name), validation_share, seed
        )
        for name in names
    }


def _with_validation(strata: NDArray, rest: Indices, held_out: Indices, share: float, seed: int) -> Split:
    """Divide what is not held out into training and validation."""
    try:
        training, validation = train_test_split(rest, test_size=share, stratify=strata[rest], random_state=seed)
    except ValueError as error:
        raise DataError(
            f"{len(rest)} samples cannot be divided into training and a share of {share:g} for validation with all of "
            f"{', '.join(map(str, np.unique(strata[rest])))} in both ({error}); add samples"
        ) from error
    return Split(np.sort(training), np.sort(validation), held_out)
