"""Distance to the k-th nearest training image in the embedding."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.neighbors import NearestNeighbors

from shared.calibration.outliers.base import Features, OutlierScore

__all__ = ["NearestNeighbour"]


class NearestNeighbour(OutlierScore):
    """Distance ``‖z − z_(k)‖`` to the k-th nearest training image, ``z = x / ‖x‖`` (Sun et al. 2022, section 3).

    Args:
        neighbours: k.
        source: name of the features that the score uses.
        maximum: at most so many training images are kept, a seeded choice; Sun et al. show that 1 % of a large set
            suffices.
        seed: of that choice.

    Raises:
        ValueError: if ``neighbours`` is below 1 or above ``maximum``.
    """

    def __init__(self, neighbours: int = 10, source: str = "embedding", maximum: int = 2000, seed: int = 0) -> None:
        super().__init__(source)
        if not 1 <= neighbours <= maximum:
            raise ValueError(f"neighbours must lie between 1 and the {maximum} images kept, found {neighbours}")
        self.neighbours = neighbours
        self.maximum = maximum
        self.seed = seed
        self.bank: NDArray[np.float32] | None = None
        self._search: NearestNeighbors | None = None

    def fit(self, features: Features, labels: ArrayLike) -> Self:  # noqa: ARG002 - the other scores' signature
        """Keep the training images' normalised features ``(N, D)``.

        Raises:
            ValueError: if there are fewer images than ``neighbours``.
        """
        values = self._values(features)
        if len(values) < self.neighbours:
            raise ValueError(f"{self.neighbours} neighbours need as many training images, found {len(values)}")
        if len(values) > self.maximum:
            kept = np.random.default_rng(self.seed).choice(len(values), self.maximum, replace=False)
            values = values[np.sort(kept)]
        self.bank, self._search = _normalised(values).astype(np.float32), None
        return self

    def score(self, features: Features) -> NDArray[np.float64]:
        """Return the distances ``(N,)``, between 0 and 2."""
        bank = self._fitted("bank")
        values = _normalised(self._values(features, bank.shape[1]))
        if self._search is None:  # built once for all batches
            self._search = NearestNeighbors(n_neighbors=self.neighbours).fit(bank)
        return self._search.kneighbors(values)[0][:, -1] if len(values) else np.zeros(0)

    def state(self) -> dict[str, NDArray[Any]]:
        """Return the kept features and the settings."""
        settings = {name: np.array(getattr(self, name)) for name in ("neighbours", "source", "maximum", "seed")}
        return {**settings, "bank": self._fitted("bank")}

    @classmethod
    def from_state(cls, state: Mapping[str, NDArray[Any]]) -> Self:
        """Make the score from its :meth:`state`."""
        score = cls(int(state["neighbours"]), str(state["source"]), int(state["maximum"]), int(state["seed"]))
        score.bank = state["bank"]
        return score


def _normalised(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Divide rows by their length; an embedding of zeros (all rectifiers off) stays in the origin."""
    length = np.linalg.norm(values, axis=1, keepdims=True)
    return values / np.where(length > 0, length, 1)
