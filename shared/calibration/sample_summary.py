"""What Monte Carlo samples of a classifier say: probability, spread and two kinds of uncertainty."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy.special import entr, softmax

__all__ = ["SampleSummary", "summarise"]


@dataclass(frozen=True)
class SampleSummary:
    """Summary of calibrated samples ``p_s = softmax(z_s / T)`` for N images, S samples, K classes; all in float64.

    Attributes:
        mean: ``(N, K)``, ``p̄ = 1/S Σ_s p_s``; the predicted probability.
        median: ``(N, K)``, per class; its rows need not sum to 1.
        standard_deviation: ``(N, K)``, ``sqrt(1/S Σ_s (p_s − p̄)²)`` per class; 0 for a single sample.
        predictive_entropy: ``(N,)`` in nats, ``H[p̄] = −Σ_k p̄_k ln p̄_k``: all uncertainty, at most ln K.
        mutual_information: ``(N,)`` in nats, ``H[p̄] − 1/S Σ_s H[p_s]``: the part due to not knowing the weights
            (BALD: Houlsby et al. 2011, equation 2; Gal, Islam and Ghahramani 2017, section 4).
    """

    mean: np.ndarray
    median: np.ndarray
    standard_deviation: np.ndarray
    predictive_entropy: np.ndarray
    mutual_information: np.ndarray


def summarise(logit_samples: torch.Tensor | ArrayLike, temperature: float = 1.0) -> SampleSummary:
    """Summarise logit samples at a temperature; the formulas stand at :class:`SampleSummary`.

    Args:
        logit_samples: ``(N, S, K)``, or ``(N, K)`` for a single pass.
        temperature: T > 0 by which logits are divided.

    Returns:
        The summary of each image.

    Raises:
        ValueError: if the shape is another, a logit is not finite, or the temperature is not positive.

    Example:
        >>> summary = summarise([[[100.0, 0.0], [0.0, 100.0]]])  # two samples, certain of opposite classes
        >>> summary.mean, summary.mutual_information.round(3)
        (array([[0.5, 0.5]]), array([0.693]))
    """
    if isinstance(logit_samples, torch.Tensor):
        logit_samples = logit_samples.detach().to("cpu", torch.float64)
    samples = np.asarray(logit_samples, dtype=np.float64)
    if samples.ndim == 2:
        samples = samples[:, np.newaxis]
    if samples.ndim != 3 or 0 in samples.shape[1:]:
        raise ValueError(f"expected logit samples (N, S, K) or (N, K), found shape {samples.shape}")
    if not np.isfinite(samples).all():
        row = int(np.argwhere(~np.isfinite(samples))[0][0])
        raise ValueError(f"logits must be finite; those of image {row} are not")
    if not (np.isfinite(temperature) and temperature > 0):
        raise ValueError(f"the temperature must be positive and finite, found {temperature}")
    probabilities = softmax(samples / temperature, axis=2)  # (N, S, K)
    mean = probabilities.mean(axis=1)
    predictive_entropy = entr(mean).sum(axis=1)
    expected_entropy = entr(probabilities).sum(axis=2).mean(axis=1)
    return SampleSummary(
        mean=mean,
        median=np.median(probabilities, axis=1),
        standard_deviation=probabilities.std(axis=1),
        predictive_entropy=predictive_entropy,
        # by Jensen's inequality not negative, but for rounding
        mutual_information=np.maximum(predictive_entropy - expected_entropy, 0.0),
    )
