"""Accuracy against the number of cells that are looked at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shared.evaluation.binary import NAMES, weighted_binary_metrics
from shared.evaluation.bootstrap import bootstrap_interval

__all__ = ["accuracy_by_cells", "random_subsets"]

MEASURES = ("accuracy", "balanced_accuracy", "roc_auc")


def random_subsets(n: int, sizes: Sequence[int], draws: int, rng: np.random.Generator) -> list[NDArray[np.intp]]:
    """Draw subsets of a patient's N cells without replacement within a subset.

    A subset of more cells than there are is all of them.

    Args:
        n: number of cells N.
        sizes: numbers of cells.
        draws: subsets of each size.
        rng: source of randomness.

    Returns:
        Indices, ``draws`` subsets of the first size, then of the next.
    """
    return [rng.permutation(n)[: min(size, n)] for size in sizes for _ in range(draws)]


def accuracy_by_cells(
    probabilities: ArrayLike, labels: ArrayLike, sizes: Sequence[int], *, resamples: int = 1000, seed: int = 0
) -> list[dict[str, Any]]:
    """Return accuracy, balanced accuracy and ROC AUC for each number of cells, averaged over the draws.

    The intervals resample patients, each with all its draws: they say what other patients would give, while the
    chance of the draw is averaged out.

    Args:
        probabilities: of tumoral, for Z numbers of cells, D draws and P patients, ``(Z, D, P)``.
        labels: 0 (reactive) or 1 (tumoral), ``(P,)``.
        sizes: the Z numbers of cells.
        resamples: number of bootstrap resamples of patients.
        seed: seed of the bootstrap.

    Returns:
        One row for each number of cells: ``cells`` and, by measure, ``value`` and ``ci95``.

    Raises:
        ValueError: if the shapes do not fit.
    """
    values, truth = np.asarray(probabilities, dtype=np.float64), np.asarray(labels)
    if values.ndim != 3 or len(values) != len(sizes) or truth.shape != values.shape[2:]:
        raise ValueError(
            f"expected probabilities (Z, D, P), found {values.shape} for {len(sizes)} sizes, {truth.shape}"
        )
    columns = [NAMES.index(name) for name in MEASURES]

    def statistic(weights: np.ndarray, positive: np.ndarray, scores: np.ndarray) -> np.ndarray:
        drawn = [weighted_binary_metrics(weights, positive, scores[:, draw]) for draw in range(scores.shape[1])]
        return np.mean(drawn, axis=0)[:, columns]  # (R, measures)

    rows = []
    for size, scores in zip(sizes, values, strict=True):
        interval = bootstrap_interval(statistic, [truth == 1, scores.T], resamples=resamples, seed=seed)
        measured = {name: interval[index].to_json() for index, name in enumerate(MEASURES)}
        rows.append({"cells": int(size), **measured})
    return rows
