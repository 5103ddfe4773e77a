"""How improbable a score is among inliers, also beyond the largest one seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Tail"]


@dataclass(frozen=True)
class Tail:
    """Surprise ``−ln P(S ≥ s)`` of a score, from a sample of inliers' scores.

    Up to a quantile u of the sample, by default that of 90 %, the probability is the empirical one, interpolated;
    beyond it is exponential, ``P(S ≥ s) = P(S ≥ u) exp(−(s − u)/β)``, a generalised Pareto distribution of shape 0
    (Pickands 1975): an empirical probability could not rank scores that are larger than all of the sample. β is the
    mean excess over u, the maximum-likelihood estimate.

    Attributes:
        knots: increasing scores ``(Q,)`` up to u.
        surprises: surprise at the knots ``(Q,)``.
        scale: β > 0.
    """

    knots: NDArray[np.float64]
    surprises: NDArray[np.float64]
    scale: float

    @classmethod
    def fit(cls, scores: ArrayLike, share: float = 0.1) -> Self:
        """Fit to the scores of inliers.

        Args:
            scores: ``(N,)``.
            share: share of them beyond u.

        Raises:
            ValueError: if there are fewer than two scores, one is not finite, or the share is not in (0, 0.5].
        """
        if not 0 < share <= 0.5:
            raise ValueError(f"the share of the tail must lie in (0, 0.5], found {share}")
        scores = np.asarray(scores, dtype=np.float64)
        if scores.ndim != 1 or len(scores) < 2 or not np.isfinite(scores).all():
            raise ValueError(f"a tail needs at least 2 finite scores (N,), found shape {scores.shape}")
        probability = np.linspace(0, 1 - share, 91)
        knots = np.quantile(scores, probability)
        # of equal quantiles the first counts: P(S ≥ s) includes all that are equal
        knots, first = np.unique(knots, return_index=True)
        excess = scores[scores > knots[-1]] - knots[-1]
        scale = excess.mean() if len(excess) else 0.0
        return cls(knots, -np.log1p(-probability[first]), float(scale) if scale > 0 else 1.0)

    def surprise(self, scores: ArrayLike) -> NDArray[np.float64]:
        """Return ``−ln P(S ≥ s)`` in nats ``(N,)``; 0 up to the smallest score of the sample."""
        scores = np.asarray(scores, dtype=np.float64)
        beyond = np.maximum(scores - self.knots[-1], 0) / self.scale
        return np.interp(scores, self.knots, self.surprises) + beyond

    def state(self) -> dict[str, NDArray[Any]]:
        """Return the fitted arrays."""
        return {"knots": self.knots, "surprises": self.surprises, "scale": np.array(self.scale)}

    @classmethod
    def from_state(cls, state: Mapping[str, NDArray[Any]]) -> Self:
        """Make the tail from its :meth:`state`."""
        return cls(state["knots"], state["surprises"], float(state["scale"]))
