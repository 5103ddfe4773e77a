"""How well values of a bag's instances single out those that are known to be positive, bag by bag.

A bag whose instances are all positive, or none of them, cannot be measured: it is NaN, and never a success.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import ndcg_score, roc_auc_score

__all__ = ["instance_ranking"]


def instance_ranking(
    values: ArrayLike, positive: ArrayLike, lengths: ArrayLike
) -> dict[str, dict[str, NDArray[np.float64]]]:
    """Measure instance values against instance labels.

    ``instance_auc`` is the area under the ROC curve within the bag: the probability that a positive instance has a
    higher value than another, ties counted half; chance level 0.5. ``instance_ndcg`` is NDCG@n, n being the number of
    positive instances: ``Σ_{k ≤ n} rel_k / log2(k + 1)`` over its largest possible value, ties averaged; chance level
    n / N, the expected value of a random order of the N instances.

    Args:
        values: value of each instance, those of B bags one after the other, ``(T,)``; higher speaks for positive.
        positive: whether each instance is positive, ``(T,)``, boolean or 0 and 1.
        lengths: number of instances of each bag, ``(B,)``.

    Returns:
        ``{measure: {"value": (B,), "chance": (B,)}}``, NaN for bags that cannot be measured; in the form that
        :func:`shared.saliency.quality.summarise_quality` takes.

    Raises:
        ValueError: if the arrays do not fit together.

    Example:
        >>> measured = instance_ranking([0.9, 0.1, 0.5, 0.2], [1, 0, 0, 1], [4])
        >>> {name: part["value"].round(3).tolist() for name, part in measured.items()}
        {'instance_auc': [0.75], 'instance_ndcg': [0.613]}
    """
    scores, truth = np.asarray(values, dtype=np.float64), np.asarray(positive)
    counts = np.asarray(lengths, dtype=np.int64)
    if scores.ndim != 1 or scores.shape != truth.shape or counts.ndim != 1 or counts.sum() != len(scores):
        raise ValueError(
            f"values and positive must be (T,) and lengths (B,) with sum T, found shapes {scores.shape} and "
            f"{truth.shape}, and lengths that sum to {counts.sum()}"
        )
    if not np.isfinite(scores).all():
        raise ValueError(f"values must be finite, found {scores[~np.isfinite(scores)][0]}")
    measured = {name: np.full((2, len(counts)), np.nan) for name in ("instance_auc", "instance_ndcg")}
    ends = np.cumsum(counts)
    for bag, (start, end) in enumerate(zip(ends - counts, ends, strict=True)):
        score, label = scores[start:end], truth[start:end].astype(bool)
        n = int(label.sum())
        if 0 < n < len(label):
            measured["instance_auc"][:, bag] = roc_auc_score(label, score), 0.5
            measured["instance_ndcg"][:, bag] = ndcg_score([label], [score], k=n), n / len(label)
    return {name: {"value": rows[0], "chance": rows[1]} for name, rows in measured.items()}
