"""EM-DD: the point near all positive and far from all negative bags, by expectation maximisation."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from scripts.rivals.bag_classifier import BagClassifier
from scripts.rivals.bags import ranks_within_bags

__all__ = ["EMDD", "negative_log_diverse_density", "scaled_distances"]

# a negative bag's instance exactly on the target would cost infinitely much
_SMALLEST_DISTANCE = 1e-12


class EMDD(BagClassifier):
    r"""Diverse density with the responsible instance of each bag as hidden variable.

    A hypothesis is a target point t and a scale of each feature s. An instance is positive with probability
    :math:`\exp(-d(x))`, :math:`d(x) = \sum_k s_k^2 (x_k - t_k)^2`, and a bag with that of its nearest instance. From
    several starting points, two steps alternate as long as they lower the negative log diverse density:

    - E: in each bag choose the instance nearest to the target,
    - M: lower :func:`negative_log_diverse_density` of the chosen ones over t and s, by gradient (L-BFGS).

    The best hypothesis of all starts is kept. The score of a bag is the log-odds of its probability, so that
    ``predict_proba`` is the model's own probability.

    Source: Zhang and Goldman 2002, figure 1; the density by Maron and Lozano-Pérez 1998. Starts are, as there, the
    instances of a few randomly drawn positive bags; here at most ``starts`` of them.

    Args:
        starting_bags: number of positive bags whose instances are starting points.
        starts: largest number of starting points; drawn from those instances if there are more.
        initial_scale: s at the start, times the square root of the number of features.
        max_iterations: largest number of both E and M steps from one start.
        gradient_steps: largest number of L-BFGS steps in one M step. With more features than bags the minimum can be
            learned by heart, and is far away.
        seed: seed of the starting points.

    Attributes:
        target_: t, ``(F,)``, in standardised features.
        scale_: s, ``(F,)``.
        density_: the negative log diverse density reached.
    """

    def __init__(
        self,
        starting_bags: int = 5,
        starts: int = 30,
        initial_scale: float = 1.0,
        max_iterations: int = 20,
        gradient_steps: int = 25,
        seed: int = 0,
    ) -> None:
        self.starting_bags = starting_bags
        self.starts = starts
        self.initial_scale = initial_scale
        self.max_iterations = max_iterations
        self.gradient_steps = gradient_steps
        self.seed = seed

    def _fit(self, instances: NDArray[np.float64], lengths: NDArray[np.int64], positive: NDArray[np.bool_]) -> None:
        scale = np.full(instances.shape[1], self.initial_scale / np.sqrt(instances.shape[1]))
        self.density_ = np.inf
        for start in self._starting_points(instances, lengths, positive):
            hypothesis, density = self._climb(np.concatenate([start, scale]), instances, lengths, positive)
            if density < self.density_:
                self.target_, self.scale_ = np.split(hypothesis, 2)
                self.density_ = density

    def _starting_points(
        self, instances: NDArray[np.float64], lengths: NDArray[np.int64], positive: NDArray[np.bool_]
    ) -> NDArray[np.float64]:
        generator = np.random.default_rng(self.seed)
        bags = generator.permutation(np.flatnonzero(positive))[: self.starting_bags]
        points = instances[np.isin(np.repeat(np.arange(len(lengths)), lengths), bags)]
        return generator.permutation(points)[: self.starts]

    def _climb(
        self,
        hypothesis: NDArray[np.float64],
        instances: NDArray[np.float64],
        lengths: NDArray[np.int64],
        positive: NDArray[np.bool_],
    ) -> tuple[NDArray[np.float64], float]:
        """Alternate E and M steps from one hypothesis ``(2 F,)``; return the best one and its density."""
        best, lowest = hypothesis, np.inf
        for _ in range(self.max_iterations):
            chosen = instances[ranks_within_bags(-scaled_distances(hypothesis, instances), lengths) == 0]
            density, _ = negative_log_diverse_density(hypothesis, chosen, positive)
            if density >= lowest:
                break
            best, lowest = hypothesis, density
            hypothesis = minimize(
                negative_log_diverse_density,
                hypothesis,
                (chosen, positive),
                method="L-BFGS-B",
                jac=True,
                options={"maxiter": self.gradient_steps},
            ).x
        return best, float(lowest)

    def _decide(self, instances: NDArray[np.float64], lengths: NDArray[np.int64]) -> NDArray[np.float64]:
        distances = scaled_distances(np.concatenate([self.target_, self.scale_]), instances)
        nearest = distances[ranks_within_bags(-distances, lengths) == 0]
        return -nearest - np.log(-np.expm1(-np.maximum(nearest, _SMALLEST_DISTANCE)))


def scaled_distances(hypothesis: NDArray[np.float64], instances: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return d(x) of instances ``(T, F)`` for a hypothesis ``(2 F,)``, target then scale; ``(T,)``."""
    target, scale = np.split(hypothesis, 2)
    return (((instances - target) * scale) ** 2).sum(axis=1)


def negative_log_diverse_density(
    hypothesis: NDArray[np.float64], chosen: NDArray[np.float64], positive: NDArray[np.bool_]
) -> tuple[float, NDArray[np.float64]]:
    r"""Return the negative log-likelihood of the labels and its gradient.

    .. math:: \sum_{i \text{ positive}} d(x_i) - \sum_{i \text{ negative}} \ln (1 - e^{-d(x_i)})

    Args:
        hypothesis: target and scale, ``(2 F,)``.
        chosen: the responsible instance of each bag, ``(B, F)``.
        positive: labels of the bags, ``(B,)``.

    Returns:
        The value, and the gradient ``(2 F,)``.
    """
    target, scale = np.split(hypothesis, 2)
    offsets = chosen - target
    distances = np.maximum(((offsets * scale) ** 2).sum(axis=1), _SMALLEST_DISTANCE)
    value = np.where(positive, distances, -np.log(-np.expm1(-distances))).sum()
    # derivative of each term by its distance: 1, or -1 / (e^d - 1)
    slope = np.ones_like(distances)
    slope[~positive] = np.exp(-distances[~positive]) / np.expm1(-distances[~positive])
    by_target = -2 * scale**2 * (slope @ offsets)
    by_scale = 2 * scale * (slope @ offsets**2)
    return float(value), np.concatenate([by_target, by_scale])
