"""What every outlier score has in common: its input, fitting, scoring, and a state of plain arrays."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Features", "OutlierScore"]

FloatArray = NDArray[np.floating[Any]]
Features = Mapping[str, ArrayLike]


class OutlierScore(ABC):
    """A number per image, the larger the less the image resembles those of the training.

    Features of N images are given by name, as :class:`~shared.calibration.monte_carlo_inferer.MonteCarloInferer`
    returns them: ``logits`` ``(N, S, K)``, ``embedding`` ``(N, E)``, ``feature_statistics`` ``(N, F)``,
    ``image_statistics`` ``(N, G)``. A score uses one of them.

    Args:
        source: name of the features that the score uses.
    """

    def __init__(self, source: str) -> None:
        self.source = source

    @abstractmethod
    def fit(self, features: Features, labels: ArrayLike) -> Self:
        """Fit to the training images.

        Args:
            features: of the training images.
            labels: their class indices ``(N,)``.

        Returns:
            The score itself.
        """

    @abstractmethod
    def score(self, features: Features) -> NDArray[np.float64]:
        """Return the scores ``(N,)``; larger is more outlying."""

    @abstractmethod
    def state(self) -> dict[str, NDArray[Any]]:
        """Return all that was fitted or chosen, as arrays of numbers and text."""

    @classmethod
    @abstractmethod
    def from_state(cls, state: Mapping[str, NDArray[Any]]) -> Self:
        """Make the score from its :meth:`state`."""

    def _values(self, features: Features, dimensions: int | None = None) -> NDArray[np.float64]:
        """Return the score's own features ``(N, D)``, checked.

        Raises:
            KeyError: if they are not given.
            ValueError: if their shape does not fit or a value is not finite.
        """
        if self.source not in features:
            raise KeyError(f"{type(self).__name__} needs the features '{self.source}', found {sorted(features)}")
        values = np.asarray(features[self.source], dtype=np.float64)
        if values.ndim != 2 or (dimensions is not None and values.shape[1] != dimensions):
            expected = "D" if dimensions is None else dimensions
            raise ValueError(f"'{self.source}' must have shape (N, {expected}), found {values.shape}")
        if not np.isfinite(values).all():
            raise ValueError(f"'{self.source}' holds values that are not finite, first in row {_first_row(values)}")
        return values

    def _fitted(self, name: str) -> NDArray[Any]:
        """Return a fitted array.

        Raises:
            RuntimeError: if nothing was fitted yet.
        """
        value = getattr(self, name, None)
        if value is None:
            raise RuntimeError(f"{type(self).__name__} on '{self.source}' is not fitted: call fit first")
        return value


def _first_row(values: NDArray[np.float64]) -> int:
    return int((~np.isfinite(values)).any(axis=1).argmax())
