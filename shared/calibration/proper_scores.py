"""Proper scores: negative log-likelihood, Brier score and the Brier score's exact decomposition."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from shared.calibration.binning import BinnedSums, Binning, assign_bins, bin_edges, binned_sums
from shared.calibration.validation import validated_multiclass, validated_outcomes

__all__ = [
    "BrierDecomposition",
    "brier_decomposition",
    "brier_score",
    "decomposition_of_sums",
    "log_scores",
    "negative_log_likelihood",
    "quadratic_scores",
]

TINY = np.finfo(np.float64).tiny


class BrierDecomposition(NamedTuple):
    """Components of the Brier score after Stephenson et al. 2008, whose signed sum is the score exactly.

    Attributes:
        reliability: Σ_b n_b/N (f_b − o_b)², the miscalibration; 0 is best.
        resolution: Σ_b n_b/N (o_b − o)², how much the frequencies differ between bins; large is best.
        uncertainty: o (1 − o), a property of the data alone.
        within_bin_variance: 1/N Σ (f − f_b)², of the forecasts around their bin's mean.
        within_bin_covariance: 2/N Σ (f − f_b)(outcome − o_b).
    """

    reliability: np.ndarray
    resolution: np.ndarray
    uncertainty: np.ndarray
    within_bin_variance: np.ndarray
    within_bin_covariance: np.ndarray

    @property
    def score(self) -> np.ndarray:
        """The Brier score: reliability − resolution + uncertainty + within-bin variance − within-bin covariance."""
        return (
            self.reliability
            - self.resolution
            + self.uncertainty
            + self.within_bin_variance
            - self.within_bin_covariance
        )


def log_scores(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return −log p of the true class for each sample, in nats.

    A probability of exactly 0 counts as the smallest normal float64 (708 nats), so that the score stays finite.

    Args:
        probabilities: ``(N, K)``.
        labels: ``(N,)`` or ``(R, N)``.

    Returns:
        Scores of the labels' shape.
    """
    return -np.log(np.maximum(_of_true_class(probabilities, labels), TINY))


def quadratic_scores(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return Σ_k (p_k − [k is true])² for each sample, of the labels' shape ``(N,)`` or ``(R, N)``."""
    return (probabilities**2).sum(axis=1) + 1 - 2 * _of_true_class(probabilities, labels)


def _of_true_class(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return probabilities[np.arange(len(probabilities)), labels]


def negative_log_likelihood(probabilities: ArrayLike, labels: ArrayLike) -> float:
    """Return the mean of −log p of the true class in nats, for probabilities ``(N, K)`` and labels ``(N,)``.

    Raises:
        ValueError: if an argument is not allowed.
    """
    return float(log_scores(*validated_multiclass(probabilities, labels)).mean())


def brier_score(probabilities: ArrayLike, labels: ArrayLike) -> float:
    """Return the Brier score 1/N Σ_n Σ_k (p_nk − [k is true])², in [0, 2] (Brier 1950).

    For one event with two outcomes the usual score (p − o)² is half of this.

    Args:
        probabilities: ``(N, K)``.
        labels: class indices ``(N,)``.

    Raises:
        ValueError: if an argument is not allowed.

    Example:
        >>> brier_score([[0.5, 0.5], [1.0, 0.0]], [0, 0])
        0.25
    """
    return float(quadratic_scores(*validated_multiclass(probabilities, labels)).mean())


def brier_decomposition(
    forecast: ArrayLike, outcome: ArrayLike, *, n_bins: int = 15, binning: Binning = "equal_width"
) -> BrierDecomposition:
    """Decompose the Brier score 1/N Σ (f − o)² of forecasts of one kind of event.

    Murphy's three components (1973) sum to the score only if all forecasts of a bin are equal. The two within-bin
    terms of Stephenson, Coelho and Jolliffe 2008, "Two extra components in the Brier score decomposition",
    make the sum exact for any bins. For several classes sum the components of each class's event.

    Args:
        forecast: probabilities ``(N,)``.
        outcome: whether each event happened, ``(N,)``.
        n_bins: number of bins.
        binning: ``"equal_width"`` or ``"equal_mass"``.

    Raises:
        ValueError: if an argument is not allowed.
    """
    forecast, outcome = validated_outcomes(forecast, outcome)
    bins = assign_bins(forecast, bin_edges(forecast, n_bins, binning))
    return decomposition_of_sums(binned_sums(forecast, outcome, bins, n_bins))


def decomposition_of_sums(sums: BinnedSums) -> BrierDecomposition:
    """Return the components, each ``(...)``, of sums per bin ``(..., B)``."""
    count = np.broadcast_to(sums.size, np.broadcast_shapes(sums.size.shape, sums.outcome.shape))
    total = count.sum(axis=-1)
    # an empty bin has sums of 0 and adds nothing
    divisor = np.maximum(count, TINY)
    base_rate = sums.outcome.sum(axis=-1) / total
    frequency = sums.outcome / divisor
    return BrierDecomposition(
        reliability=((sums.forecast - sums.outcome) ** 2 / divisor).sum(axis=-1) / total,
        resolution=(count * (frequency - base_rate[..., None]) ** 2).sum(axis=-1) / total,
        uncertainty=base_rate * (1 - base_rate),
        within_bin_variance=np.maximum(sums.forecast_squared - sums.forecast**2 / divisor, 0).sum(axis=-1) / total,
        within_bin_covariance=2 * (sums.forecast_outcome - sums.forecast * sums.outcome / divisor).sum(axis=-1) / total,
    )
