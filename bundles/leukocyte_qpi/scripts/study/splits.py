"""Who is trained on, who chooses the model and fits the temperature, and who is held out."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedKFold, train_test_split

from shared.data.errors import DataError

__all__ = ["Split", "cross_validation", "leave_one_source_out"]

Indices = NDArray[np.intp]


class Split(NamedTuple):
    """Indices of the cells of each section; no cell is in two."""

    training: Indices
    validation: Indices
    test: Indices

    def sections(self) -> dict[str, Indices]:
        """Return the indices by the datalist's name of the section."""
        return self._asdict()


def cross_validation(
    labels: NDArray[np.int64], sources: NDArray[np.str_], folds: int, validation_share: float, seed: int
) -> list[Split]:
    """Partition the cells so that each is held out exactly once, with classes and sources in equal shares.

    Args:
        labels: class indices ``(N,)``.
        sources: source of each cell ``(N,)``.
        folds: number of folds.
        validation_share: share of what is not held out.
        seed: seed of the partition.

    Returns:
        One split for each fold.

    Raises:
        DataError: if a class has too few cells of one source for the folds.
    """
    strata = _strata(labels, sources)
    smallest = int(np.bincount(strata).min())
    if smallest < folds:
        raise DataError(f"a class has only {smallest} cells of one source, too few for {folds} folds")
    splitter = StratifiedKFold(folds, shuffle=True, random_state=seed)
    return [
        _with_validation(rest, held_out, strata, validation_share, seed)
        for rest, held_out in splitter.split(strata, strata)
    ]


def leave_one_source_out(
    labels: NDArray[np.int64], sources: NDArray[np.str_], validation_share: float, seed: int
) -> dict[str, Split]:
    """Hold out each source in turn: train and validate on the others, test on all of it.

    Args:
        labels: class indices ``(N,)``.
        sources: source of each cell ``(N,)``.
        validation_share: share of what is not held out.
        seed: seed of the choice of the validation cells.

    Returns:
        The split by the name of the source that is held out.

    Raises:
        DataError: if there is only one source.
    """
    names = np.unique(sources)
    if len(names) < 2:
        raise DataError(f"leaving one source out needs at least two sources, found {names.tolist()}")
    strata = _strata(labels, sources)
    return {
        str(name): _with_validation(
            np.flatnonzero(sources != name), np.flatnonzero(sources == name), strata, validation_share, seed
        )
        for name in names
    }


def _strata(labels: NDArray[np.int64], sources: NDArray[np.str_]) -> Indices:
    names = [f"{label} {source}" for label, source in zip(labels, sources, strict=True)]
    return np.unique(names, return_inverse=True)[1]


def _with_validation(rest: Indices, held_out: Indices, strata: Indices, share: float, seed: int) -> Split:
    training, validation = train_test_split(rest, test_size=share, stratify=strata[rest], random_state=seed)
    return Split(np.sort(training), np.sort(validation), held_out)
