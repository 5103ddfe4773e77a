"""Specialising multiple-instance learning: a positive bag has at least a given fraction of positive instances."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold

from scripts.rivals.bag_classifier import BagClassifier
from scripts.rivals.bags import ranks_within_bags

__all__ = ["SpecialisingMIL", "choose_fraction", "required_instances"]


class SpecialisingMIL(BagClassifier):
    r"""SPEC_MIL: an instance classifier that relabels the instances it is trained on.

    What the seed paper states (Sahasrabudhe et al. 2020, section 3.2): SPEC_MIL is "a generalisation of MI-SVM", its
    only hyper-parameter is the fraction of positive instances, and that is tuned by three-fold cross-validation on
    the training set and fixed to the value that attains most often the highest classification accuracy.

    What is our reading: the name and the parameter are those of ``spec_mil`` in the MIL toolbox of Tax and Cheplygina
    (2016), which describes itself so: a classifier (by default logistic, which has no hyper-parameter) is trained on
    all instances with the labels of their bags; all instances are relabelled by its output; in each positive bag
    enough of the most positive instances stay positive; this is repeated until the labels stay the same. Therefore

    1. every instance has the label of its bag,
    2. a logistic regression f is fitted to the instances' labels,
    3. an instance of a positive bag with n instances is positive if :math:`f(x) > 0`, or if it is among the
       :math:`k = \lceil \rho n \rceil` with the largest f; instances of negative bags stay negative; on from 2.

    A bag is positive if at least the fraction ρ of its instances is: its score is the k-th largest f. With ρ → 0 one
    instance decides, which is the rule of mi-SVM and MI-SVM (Andrews et al. 2003) with a logistic for the hinge loss.

    Args:
        fraction: ρ in (0, 1]; None chooses it from ``fractions`` by :func:`choose_fraction`.
        fractions: candidates for ρ.
        folds: folds of the cross-validation.
        C: inverse strength of the squared penalty of the logistic regression, which separable instances need.
        class_weight: None for equal weights of the instances, ``balanced`` for equal sums of both classes' weights.
        max_iterations: largest number of relabellings; a warning says if it was reached.
        seed: seed of the folds.

    Attributes:
        fraction_: ρ.
        classifier_: the last logistic regression.
        instance_labels_: label of each training instance that it was fitted to, ``(T,)``.
    """

    def __init__(
        self,
        fraction: float | None = None,
        fractions: Sequence[float] = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9),
        folds: int = 3,
        C: float = 1.0,
        class_weight: str | None = None,
        max_iterations: int = 100,
        seed: int = 0,
    ) -> None:
        self.fraction = fraction
        self.fractions = fractions
        self.folds = folds
        self.C = C
        self.class_weight = class_weight
        self.max_iterations = max_iterations
        self.seed = seed

    def _fit(self, instances: NDArray[np.float64], lengths: NDArray[np.int64], positive: NDArray[np.bool_]) -> None:
        if self.fraction is None:
            self.fraction_ = self._choose(instances, lengths, positive)
        elif 0 < self.fraction <= 1:
            self.fraction_ = float(self.fraction)
        else:
            raise ValueError(f"fraction must be above 0 and at most 1, found {self.fraction}")
        self.classifier_, self.instance_labels_ = self._specialise(instances, lengths, positive, self.fraction_)

    def _decide(self, instances: NDArray[np.float64], lengths: NDArray[np.int64]) -> NDArray[np.float64]:
        return _bag_scores(self.classifier_, instances, lengths, self.fraction_)

    def _specialise(
        self,
        instances: NDArray[np.float64],
        lengths: NDArray[np.int64],
        positive: NDArray[np.bool_],
        fraction: float,
    ) -> tuple[LogisticRegression, NDArray[np.bool_]]:
        in_positive = np.repeat(positive, lengths)
        required = np.repeat(required_instances(lengths, fraction), lengths)
        labels = in_positive
        # each fit starts from the last one
        classifier = LogisticRegression(
            C=self.C, class_weight=self.class_weight, solver="newton-cholesky", warm_start=True
        )
        for _ in range(self.max_iterations):
            scores = classifier.fit(instances, labels).decision_function(instances)
            relabelled = in_positive & ((scores > 0) | (ranks_within_bags(scores, lengths) < required))
            if np.array_equal(relabelled, labels):
                return classifier, labels
            fitted_to, labels = labels, relabelled
        warnings.warn(
            f"instances still changed their label after {self.max_iterations} fits; raise max_iterations",
            ConvergenceWarning,
            stacklevel=4,
        )
        return classifier, fitted_to

    def _choose(self, instances: NDArray[np.float64], lengths: NDArray[np.int64], positive: NDArray[np.bool_]) -> float:
        folds = StratifiedKFold(self.folds, shuffle=True, random_state=self.seed)
        bag = np.repeat(np.arange(len(lengths)), lengths)
        accuracy = np.empty((self.folds, len(self.fractions)))
        for fold, (training, held_out) in enumerate(folds.split(lengths, positive)):
            learned, tested = np.isin(bag, training), np.isin(bag, held_out)
            for column, fraction in enumerate(self.fractions):
                fitted, _ = self._specialise(instances[learned], lengths[training], positive[training], fraction)
                score = _bag_scores(fitted, instances[tested], lengths[held_out], fraction)
                accuracy[fold, column] = ((score > 0) == positive[held_out]).mean()
        return choose_fraction(self.fractions, accuracy)


def required_instances(lengths: NDArray[np.int64], fraction: float) -> NDArray[np.int64]:
    """Return how many instances of each bag must be positive for the bag to be, ``(B,)``: ⌈fraction × n⌉.

    Example:
        >>> required_instances(np.array([1, 10, 15]), 0.3).tolist()
        [1, 3, 5]
    """
    # without the margin 0.3 × 10 would be rounded up to 4
    return np.ceil(fraction * lengths - 1e-9).astype(np.int64)


def choose_fraction(fractions: Sequence[float], accuracy: NDArray[np.float64]) -> float:
    """Return the fraction that reaches the highest accuracy in most folds.

    Among equals the one with the highest mean accuracy is taken, then the smallest.

    Args:
        fractions: candidates.
        accuracy: ``(folds, candidates)``.

    Example:
        >>> choose_fraction([0.1, 0.5, 0.9], np.array([[0.8, 0.9, 0.7], [0.8, 0.9, 0.9], [0.9, 0.8, 0.5]]))
        0.5
    """
    wins = (accuracy == accuracy.max(axis=1, keepdims=True)).sum(axis=0)
    return float(min(zip(-wins, -accuracy.mean(axis=0), fractions, strict=True))[2])


def _bag_scores(
    classifier: LogisticRegression, instances: NDArray[np.float64], lengths: NDArray[np.int64], fraction: float
) -> NDArray[np.float64]:
    scores = classifier.decision_function(instances)
    decisive = ranks_within_bags(scores, lengths) == np.repeat(required_instances(lengths, fraction), lengths) - 1
    return scores[decisive]
