"""Scores that need nothing but the logits: maximum softmax, energy, predictive entropy, mutual information."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import logsumexp

from shared.calibration.outliers.base import Features, OutlierScore
from shared.calibration.sample_summary import SampleSummary, summarise

__all__ = ["Energy", "MaximumSoftmax", "MutualInformation", "PredictiveEntropy"]


class LogitScore(OutlierScore):
    """A score of logit samples at a temperature; there is nothing to fit.

    Args:
        temperature: T > 0 by which logits are divided.

    Raises:
        ValueError: if the temperature is not positive.
    """

    def __init__(self, temperature: float = 1.0) -> None:
        super().__init__("logits")
        if not temperature > 0:
            raise ValueError(f"the temperature must be positive, found {temperature}")
        self.temperature = float(temperature)

    def fit(self, features: Features, labels: ArrayLike) -> Self:  # noqa: ARG002 - the other scores' signature
        """Do nothing."""
        return self

    def state(self) -> dict[str, NDArray[Any]]:
        """Return the temperature."""
        return {"temperature": np.array(self.temperature)}

    @classmethod
    def from_state(cls, state: Mapping[str, NDArray[Any]]) -> Self:
        """Make the score from its :meth:`state`."""
        return cls(float(state["temperature"]))

    def _logits(self, features: Features) -> ArrayLike:
        if self.source not in features:
            raise KeyError(f"{type(self).__name__} needs the features '{self.source}', found {sorted(features)}")
        return features[self.source]


class SummaryScore(LogitScore):
    """A score read off the summary of the samples."""

    def score(self, features: Features) -> NDArray[np.float64]:
        """Return the scores ``(N,)``; larger is more outlying."""
        return self._of(summarise(self._logits(features), self.temperature))

    @abstractmethod
    def _of(self, summary: SampleSummary) -> NDArray[np.float64]:
        """Return the scores ``(N,)`` of a summary."""


class MaximumSoftmax(SummaryScore):
    """``−max_k p̄_k`` with the mean probability ``p̄`` (Hendrycks and Gimpel 2017, section 2)."""

    def _of(self, summary: SampleSummary) -> NDArray[np.float64]:
        return -summary.mean.max(axis=1)


class PredictiveEntropy(SummaryScore):
    """``H[p̄]``, the entropy of the mean probability, in nats."""

    def _of(self, summary: SampleSummary) -> NDArray[np.float64]:
        return summary.predictive_entropy


class MutualInformation(SummaryScore):
    """``H[p̄] − 1/S Σ_s H[p_s]`` in nats: how far the samples disagree (Houlsby et al. 2011, equation 2)."""

    def _of(self, summary: SampleSummary) -> NDArray[np.float64]:
        return summary.mutual_information


class Energy(LogitScore):
    """Mean over the samples of the free energy ``−T ln Σ_k exp(z_k / T)`` (Liu et al. 2020, equation 3)."""

    def score(self, features: Features) -> NDArray[np.float64]:
        """Return the scores ``(N,)``; larger is more outlying."""
        logits = np.asarray(self._logits(features), dtype=np.float64)
        if logits.ndim not in (2, 3):
            raise ValueError(f"expected logit samples (N, S, K) or (N, K), found shape {logits.shape}")
        energy = -self.temperature * logsumexp(logits / self.temperature, axis=-1)  # (N, S) or (N,)
        return energy if logits.ndim == 2 else energy.mean(axis=1)
