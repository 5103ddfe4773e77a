"""MILES: bags embedded by their similarity to all training instances, and a sparse linear classifier."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog

from scripts.rivals.bag_classifier import BagClassifier
from scripts.rivals.bags import bag_starts

__all__ = ["MILES", "bag_similarities", "one_norm_svm"]

_PROTOTYPES_PER_CHUNK = 512


class MILES(BagClassifier):
    r"""Multiple-instance learning via embedded instance selection.

    Each bag becomes the vector of its similarities to all training instances :math:`x^k`,

    .. math:: s(x^k, B_i) = \max_j \exp(-\|x_{ij} - x^k\|^2 / \sigma^2),

    and a 1-norm support vector machine (:func:`one_norm_svm`) chooses the few instances that matter.

    Source: Chen, Bi and Wang 2006, equations 6, 7 and 10. As features are standardised, :math:`\sigma^2` is given per
    feature.

    Args:
        bandwidth: σ² divided by the number of features.
        regularisation: λ, weight of the 1-norm.
        positive_weight: μ; slacks of positive bags weigh μ and those of negative bags 1 - μ. None weighs the classes
            by the number of bags of the other one, μ = B⁻ / B.

    Attributes:
        prototypes_: standardised training instances that were chosen, ``(P, F)``.
        coefficients_: their weights, ``(P,)``.
        intercept_: b.
    """

    def __init__(
        self, bandwidth: float = 1.0, regularisation: float = 0.2, positive_weight: float | None = 0.5
    ) -> None:
        self.bandwidth = bandwidth
        self.regularisation = regularisation
        self.positive_weight = positive_weight

    def _fit(self, instances: NDArray[np.float64], lengths: NDArray[np.int64], positive: NDArray[np.bool_]) -> None:
        embedding = bag_similarities(instances, lengths, instances, self.bandwidth * instances.shape[1])
        weight = 1 - positive.mean() if self.positive_weight is None else self.positive_weight
        slack_weights = np.where(positive, weight, 1 - weight)
        coefficients, self.intercept_ = one_norm_svm(embedding, positive, self.regularisation, slack_weights)
        chosen = np.abs(coefficients) > 1e-9
        self.prototypes_, self.coefficients_ = instances[chosen], coefficients[chosen]

    def _decide(self, instances: NDArray[np.float64], lengths: NDArray[np.int64]) -> NDArray[np.float64]:
        embedding = bag_similarities(instances, lengths, self.prototypes_, self.bandwidth * instances.shape[1])
        return embedding @ self.coefficients_ + self.intercept_


def bag_similarities(
    instances: NDArray[np.float64],
    lengths: NDArray[np.int64],
    prototypes: NDArray[np.float64],
    squared_bandwidth: float,
) -> NDArray[np.float64]:
    """Return the similarity of each bag to each prototype, ``(B, P)``, between 0 and 1.

    Args:
        instances: ``(T, F)``.
        lengths: instances of each bag, ``(B,)``.
        prototypes: ``(P, F)``.
        squared_bandwidth: σ².
    """
    starts, norms = bag_starts(lengths), (instances**2).sum(axis=1)
    nearest = np.empty((len(lengths), len(prototypes)))
    for start in range(0, len(prototypes), _PROTOTYPES_PER_CHUNK):
        chunk = prototypes[start : start + _PROTOTYPES_PER_CHUNK]
        distances = norms[:, None] - 2 * instances @ chunk.T + (chunk**2).sum(axis=1)  # (T, chunk)
        nearest[:, start : start + _PROTOTYPES_PER_CHUNK] = np.minimum.reduceat(distances, starts, axis=0)
    # rounding can take the distance of an instance to itself below zero
    return np.exp(-np.maximum(nearest, 0) / squared_bandwidth)


def one_norm_svm(
    features: NDArray[np.float64],
    positive: NDArray[np.bool_],
    regularisation: float,
    slack_weights: NDArray[np.float64],
) -> tuple[NDArray[np.float64], float]:
    r"""Fit a linear classifier with a 1-norm penalty as a linear programme.

    .. math:: \min_{w, b, \xi \ge 0} \lambda \|w\|_1 + \sum_i c_i \xi_i \quad\text{with}\quad
       y_i (\langle w, m_i \rangle + b) \ge 1 - \xi_i

    Args:
        features: m, ``(B, P)``.
        positive: whether y is +1 and not -1, ``(B,)``.
        regularisation: λ.
        slack_weights: c, ``(B,)``.

    Returns:
        The weights ``(P,)`` and the intercept.

    Raises:
        RuntimeError: if the solver does not reach the optimum.
    """
    number, size = features.shape
    sign = np.where(positive, 1.0, -1.0)[:, None]
    # w = u - v with u, v ≥ 0, then b and the slacks
    matrix = -np.hstack([sign * features, -sign * features, sign, np.eye(number)])
    cost = np.concatenate([np.full(2 * size, regularisation), [0.0], slack_weights])
    bounds = np.zeros((len(cost), 2))
    bounds[:, 1] = np.inf
    bounds[2 * size, 0] = -np.inf
    solution = linprog(cost, A_ub=matrix, b_ub=-np.ones(number), bounds=bounds, method="highs")
    if not solution.success:
        raise RuntimeError(f"the linear programme of the 1-norm support vector machine failed: {solution.message}")
    return solution.x[:size] - solution.x[size : 2 * size], float(solution.x[2 * size])
