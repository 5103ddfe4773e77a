"""MI-SVM: the margin of a bag is that of its most positive instance."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.svm import SVC

from scripts.rivals.bag_classifier import BagClassifier
from scripts.rivals.bags import bag_maxima, bag_starts, ranks_within_bags

__all__ = ["MISVM"]

# of the solver; the objective is known no better, and below it witnesses could go round in circles
_TOLERANCE = 1e-4


class MISVM(BagClassifier):
    r"""Support vector machine on one witness of each positive bag and all instances of the negative bags.

    .. math:: \min_{w, b, s, \xi}\; \tfrac12 \|w\|^2 + \sum_i C_i \xi_i \quad\text{with}\quad
       \langle w, x_{s(i)} \rangle + b \ge 1 - \xi_i \text{ for positive bags i},\quad
       -\langle w, x_j \rangle - b \ge 1 - \xi_j \text{ for all } j \text{ of negative bags}

    The witness s(i) starts as the mean of the bag's instances, and then is the instance with the largest decision
    value under the last machine, until the witnesses stay as they are, or the objective does. From the first choice
    on, the objective cannot rise: neither a new machine for the same witnesses nor new witnesses for the same machine
    can raise it. The decision of a bag is the largest decision value of its instances.

    Source: Andrews, Tsochantaridis and Hofmann 2003, equation 3 and the MI-SVM heuristic of figure 2. Ours is the
    option to weight the classes: one witness of each positive bag stands against all instances of the negative ones.

    Args:
        C: weight of a violated margin.
        kernel: ``rbf``, ``linear`` or ``poly``.
        gamma: width of the kernel, ``exp(-gamma |x - z|²)``; None is one over the number of features.
        class_weight: None for equal weights, ``balanced`` for C times total / (2 × number of the class).
        max_iterations: largest number of choices of witnesses; a warning says if it was reached.

    Attributes:
        machine_: the last support vector machine.
        witnesses_: position of each positive bag's witness among all training instances.
        objectives_: value of the objective after each fit; the first is that of the means.
    """

    def __init__(
        self,
        C: float = 1.0,
        kernel: str = "rbf",
        gamma: float | None = None,
        class_weight: str | None = None,
        max_iterations: int = 50,
    ) -> None:
        self.C = C
        self.kernel = kernel
        self.gamma = gamma
        self.class_weight = class_weight
        self.max_iterations = max_iterations

    def _fit(self, instances: NDArray[np.float64], lengths: NDArray[np.int64], positive: NDArray[np.bool_]) -> None:
        in_positive = np.repeat(positive, lengths)
        negatives, candidates = instances[~in_positive], instances[in_positive]
        positions, sizes = np.flatnonzero(in_positive), lengths[positive]
        witnesses = np.add.reduceat(candidates, bag_starts(sizes), axis=0) / sizes[:, None]
        target = np.concatenate([np.ones(len(sizes)), -np.ones(len(negatives))])
        chosen = np.full(len(sizes), -1)
        self.objectives_ = []
        for _ in range(self.max_iterations):
            training = np.concatenate([witnesses, negatives])
            gamma = 1 / instances.shape[1] if self.gamma is None else self.gamma
            self.machine_ = SVC(
                C=self.C, kernel=self.kernel, gamma=gamma, class_weight=self.class_weight, tol=_TOLERANCE
            )
            self.machine_.fit(training, target)
            self.objectives_.append(self._objective(training, target))
            before, chosen = (
                chosen,
                np.flatnonzero(ranks_within_bags(self.machine_.decision_function(candidates), sizes) == 0),
            )
            if np.array_equal(before, chosen) or self._has_settled():
                break
            witnesses = candidates[chosen]
        else:
            warnings.warn(
                f"the witnesses still changed after {self.max_iterations} choices; raise max_iterations",
                ConvergenceWarning,
                stacklevel=3,
            )
        self.witnesses_ = positions[chosen]

    def _has_settled(self) -> bool:
        # the first objective is that of the means, which are no instances
        return len(self.objectives_) > 2 and self.objectives_[-1] >= (1 - _TOLERANCE) * self.objectives_[-2]

    def _objective(self, training: NDArray[np.float64], target: NDArray[np.float64]) -> float:
        """Return the primal objective of the fitted machine, for any kernel."""
        decision = self.machine_.decision_function(training)
        support = self.machine_.support_
        # |w|² is the sum of α_i y_i <w, x_i>
        squared_norm = self.machine_.dual_coef_[0] @ (decision[support] - self.machine_.intercept_[0])
        weight = self.C * self.machine_.class_weight_[(target > 0).astype(int)]
        return float(squared_norm / 2 + weight @ np.maximum(0, 1 - target * decision))

    def _decide(self, instances: NDArray[np.float64], lengths: NDArray[np.int64]) -> NDArray[np.float64]:
        return bag_maxima(self.machine_.decision_function(instances), lengths)
