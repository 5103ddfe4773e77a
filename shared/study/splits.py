"""Who is trained on, on whom choices are made, and who is held out."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.model_selection import StratifiedKFold, train_test_split

from shared.data.errors import DataError

__all__ = ["Split", "cross_validation"]

Indices = NDArray[np.intp]


class Split(NamedTuple):
    """Indices of each section; nothing is in two."""

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
    splits = []
    for rest, held_out in StratifiedKFold(folds, shuffle=True, random_state=seed).split(index, index):
        try:
            training, validation = train_test_split(
                rest, test_size=validation_share, stratify=index[rest], random_state=seed
            )
        except ValueError as error:
            raise DataError(
                f"{len(rest)} samples cannot be divided into training and a share of {validation_share:g} for "
                f"validation with all of {', '.join(map(str, names))} in both ({error}); add samples"
            ) from error
        splits.append(Split(np.sort(training), np.sort(validation), held_out))
    return splits
