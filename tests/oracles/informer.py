"""INFORMER (Shu et al.) written slowly from its text: one image, one pair, one threshold at a time."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np


def pair_distance(first: np.ndarray, second: np.ndarray) -> float:
    """Equation 1 of two maps."""
    product = sum(a * b for a, b in zip(first.ravel().tolist(), second.ravel().tolist(), strict=True))
    norms = [math.sqrt(sum(a * a for a in values.ravel().tolist())) for values in (first, second)]
    return 1 - product / (norms[0] * norms[1])


def class_distinctiveness(maps: Sequence[np.ndarray]) -> list[float]:
    """d_i of one image: the entries of each finding's vector of distances to the others, summed."""
    return [sum(pair_distance(own, other) for j, other in enumerate(maps) if j != i) for i, own in enumerate(maps)]


def exact_f1(predictions: Sequence[int], labels: Sequence[float]) -> Fraction:
    """F1 over the samples whose label is known, as a fraction."""
    pairs = [(p, y) for p, y in zip(predictions, labels, strict=True) if not math.isnan(y)]
    hits = sum(1 for p, y in pairs if p == 1 and y == 1)
    wrong = sum(1 for p, y in pairs if p != y)
    return Fraction(2 * hits, 2 * hits + wrong)


def swap(predictions: Sequence[int], flagged: Sequence[bool]) -> list[int]:
    """Invert the flagged predictions."""
    return [1 - int(p) if flag else int(p) for p, flag in zip(predictions, flagged, strict=True)]


def best_f1_of_thresholds(
    doubt: Sequence[float], predictions: Sequence[int], labels: Sequence[float], thresholds: Sequence[float]
) -> tuple[Fraction, int]:
    """The highest F1 after swapping what is above one of the thresholds, and the fewest known flags that reach it."""
    results = []
    for threshold in thresholds:
        flagged = [value > threshold for value in doubt]  # NaN is never above
        count = sum(flag and not math.isnan(y) for flag, y in zip(flagged, labels, strict=True))
        results.append((exact_f1(swap(predictions, flagged), labels), -count))
    best = max(results)
    return best[0], -best[1]


def best_f1_of_steps(
    doubt: np.ndarray, predictions: np.ndarray, labels: np.ndarray, step: np.ndarray, steps: int
) -> Fraction:
    """The highest F1 over every combination of one threshold per step."""
    choices = [[math.inf, -math.inf, *np.unique(doubt[~np.isnan(doubt) & (step == s)])] for s in range(steps)]
    return max(
        exact_f1(swap(predictions, [v > limits[s] for v, s in zip(doubt, step, strict=True)]), labels)
        for limits in itertools.product(*choices)
    )
