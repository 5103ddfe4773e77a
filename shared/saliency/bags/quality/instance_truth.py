"""How well values of instances single out the positive ones, for several methods on one bag."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score

from shared.evaluation.instance_ranking import instance_ranking

__all__ = ["TRUTH_MEASURES", "average_precision_chance", "instance_truth"]

TRUTH_MEASURES = ("instance_auc", "instance_ndcg", "instance_ap")


def instance_truth(values: NDArray[np.float64], positive: NDArray[np.bool_]) -> dict[str, dict[str, NDArray]]:
    """Measure the values of M methods on one bag against its instance labels.

    ``instance_auc`` and ``instance_ndcg`` (NDCG@n) are those of
    :func:`shared.evaluation.instance_ranking.instance_ranking`. ``instance_ap`` is the average precision,
    ``Σ_t (recall_t − recall_{t−1}) precision_t`` over the distinct values t from the highest down.

    Args:
        values: ``(M, N)``; higher speaks for positive.
        positive: ``(N,)``.

    Returns:
        ``{measure: {"value": (M,), "chance": (M,)}}``; chance is the expectation over random orders. NaN if no
        instance is positive, or all are.
    """
    methods, instances = values.shape
    truth = np.asarray(positive, dtype=bool)
    measured = instance_ranking(values.ravel(), np.tile(truth, methods), np.full(methods, instances))
    measurable = 0 < truth.sum() < instances
    precision = [average_precision_score(truth, row) if measurable else np.nan for row in values]
    chance = average_precision_chance(instances, int(truth.sum())) if measurable else np.nan
    measured["instance_ap"] = {"value": np.array(precision), "chance": np.full(methods, chance)}
    return measured


def average_precision_chance(instances: int, positive: int) -> float:
    """Return the expected average precision of a random order of N instances of which n are positive.

    The instance at place k is positive with probability n / N, and then the precision there is expected to be
    ``(1 + (k − 1)(n − 1)/(N − 1)) / k``: the sum over k is ``[H_N + (n − 1)/(N − 1) (N − H_N)] / N``.

    Args:
        instances: N, at least 2.
        positive: n, at least 1.

    Example:
        >>> average_precision_chance(2, 1)
        0.75
    """
    harmonic = float((1 / np.arange(1, instances + 1)).sum())
    return (harmonic + (positive - 1) / (instances - 1) * (instances - harmonic)) / instances
