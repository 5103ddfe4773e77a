"""Virtual-logit matching: what of the embedding lies outside the training images' principal space."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import logsumexp

from shared.calibration.outliers.base import Features, OutlierScore

__all__ = ["ViM"]


class ViM(OutlierScore):
    """Virtual-logit matching (Wang et al. 2022, section 4, equations 5 to 8).

    With the last layer's weight W and bias b, the embedding is moved to the origin ``o = −W⁺ b``. ``R`` spans what is
    orthogonal to the training images' first D principal directions there. The virtual logit is
    ``l_0 = α ‖Rᵀ (x − o)‖`` with α such that it is, over the training images, on average as large as the largest
    logit. The score is ``l_0 − ln Σ_k exp(l_k)`` with the logits ``l = W x + b``, which orders images as the paper's
    softmax of the virtual logit does.

    Args:
        weight: of the last linear layer, ``(K, E)``.
        bias: likewise, ``(K,)``.
        dimensions: D; by default the paper's 1000 if E ≥ 2048, 512 if E ≥ 768, and else E / 2, but never more than
            half of the number of training images, beyond which there is no residual left to measure.
        source: name of the features that the score uses.

    Raises:
        ValueError: if weight and bias do not fit.
    """

    def __init__(
        self, weight: ArrayLike, bias: ArrayLike, dimensions: int | None = None, source: str = "embedding"
    ) -> None:
        super().__init__(source)
        self.weight = np.asarray(weight, dtype=np.float64)
        self.bias = np.asarray(bias, dtype=np.float64)
        if self.weight.ndim != 2 or self.bias.shape != self.weight.shape[:1]:
            raise ValueError(f"expected weight (K, E) and bias (K,), found {self.weight.shape} and {self.bias.shape}")
        self.dimensions = dimensions
        self.principal: NDArray[np.float64] | None = None
        self.alpha: NDArray[np.float64] | None = None

    def fit(self, features: Features, labels: ArrayLike) -> Self:  # noqa: ARG002 - the other scores' signature
        """Fit principal space and α to the training embeddings.

        Raises:
            ValueError: if ``dimensions`` leaves no residual.
        """
        values = self._values(features, self.weight.shape[1])
        width = values.shape[1]
        by_default = min(1000 if width >= 2048 else 512 if width >= 768 else width // 2, len(values) // 2)
        dimensions = by_default if self.dimensions is None else self.dimensions
        _, _, directions = np.linalg.svd(values - self._origin(), full_matrices=False)
        self.principal = directions[:dimensions].astype(np.float32)
        residual = self._residual(values).mean()
        if not (0 <= dimensions < width and residual > 0):
            raise ValueError(f"{dimensions} principal dimensions of {width} leave no residual: choose fewer")
        self.alpha = np.array((values @ self.weight.T + self.bias).max(axis=1).mean() / residual)
        return self

    def score(self, features: Features) -> NDArray[np.float64]:
        """Return the scores ``(N,)``; larger is more outlying."""
        alpha = self._fitted("alpha")
        values = self._values(features, self.weight.shape[1])
        return alpha * self._residual(values) - logsumexp(values @ self.weight.T + self.bias, axis=1)

    def state(self) -> dict[str, NDArray[Any]]:
        """Return last layer, principal space and α."""
        fitted = {"principal": self._fitted("principal"), "alpha": self._fitted("alpha")}
        return {"weight": self.weight, "bias": self.bias, "source": np.array(self.source), **fitted}

    @classmethod
    def from_state(cls, state: Mapping[str, NDArray[Any]]) -> Self:
        """Make the score from its :meth:`state`."""
        score = cls(state["weight"], state["bias"], len(state["principal"]), str(state["source"]))
        score.principal, score.alpha = state["principal"], state["alpha"]
        return score

    def _origin(self) -> NDArray[np.float64]:
        return -np.linalg.pinv(self.weight) @ self.bias  # (E,)

    def _residual(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the length ``(N,)`` of what is orthogonal to the principal space."""
        principal = self._fitted("principal").astype(np.float64)
        centred = values - self._origin()
        return np.linalg.norm(centred - centred @ principal.T @ principal, axis=1)
