"""What the multiple-instance classifiers have in common: their interface, and the scaling of the features."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted

from scripts.rivals.bags import Bags, as_ragged
from shared.data.errors import DataError

__all__ = ["BagClassifier"]


class BagClassifier(ClassifierMixin, BaseEstimator, ABC):
    """A classifier of bags into two classes, used like any of scikit-learn's.

    Features are standardised by the mean and deviation of all training instances; a feature that does not vary there
    counts nothing. A list of bags can be given to scikit-learn's cross-validation and grid search as it is.
    """

    def fit(self, bags: Bags, labels: ArrayLike) -> Self:
        """Learn from bags whose classes are known.

        Args:
            bags: see :func:`scripts.rivals.bags.as_ragged`.
            labels: class of each bag, ``(B,)``; the greater of the two values is the positive class.

        Raises:
            DataError: if there are not two classes, or not as many labels as bags.
        """
        instances, lengths = as_ragged(bags)
        self.classes_, encoded = np.unique(np.asarray(labels), return_inverse=True)
        if len(self.classes_) != 2:
            raise DataError(f"labels {self.classes_.tolist()}; expected two classes among the training bags")
        if len(encoded) != len(lengths):
            raise DataError(f"{len(encoded)} labels for {len(lengths)} bags; expected one each")
        self.scaler_ = StandardScaler().fit(instances)
        self._fit(self.scaler_.transform(instances), lengths, encoded == 1)
        return self

    def decision_function(self, bags: Bags) -> NDArray[np.float64]:
        """Return the score of each bag, ``(B,)``; above 0 for the positive class."""
        check_is_fitted(self, "scaler_")
        instances, lengths = as_ragged(bags)
        return self._decide(self.scaler_.transform(instances), lengths)

    def predict_proba(self, bags: Bags) -> NDArray[np.float64]:
        """Return the sigmoid of the score as the probability of the positive class, ``(B, 2)``.

        It is above one half where the score is above 0, and is not calibrated unless the class says so.
        """
        positive = expit(self.decision_function(bags))
        return np.column_stack([1 - positive, positive])

    def predict(self, bags: Bags) -> NDArray:
        """Return the class of each bag, ``(B,)``."""
        return self.classes_[(self.decision_function(bags) > 0).astype(int)]

    @abstractmethod
    def _fit(self, instances: NDArray[np.float64], lengths: NDArray[np.int64], positive: NDArray[np.bool_]) -> None:
        """Learn from standardised instances ``(T, F)`` of bags, of which ``positive`` ``(B,)`` tells the class."""

    @abstractmethod
    def _decide(self, instances: NDArray[np.float64], lengths: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the scores ``(B,)`` of bags of standardised instances ``(T, F)``."""
