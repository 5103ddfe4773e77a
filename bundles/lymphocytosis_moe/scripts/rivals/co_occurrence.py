"""Grey-level co-occurrence matrices of a masked region and the statistics of Haralick and others on them."""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray
from scipy.special import entr, xlogy
from skimage.feature import graycomatrix

__all__ = ["STATISTICS", "co_occurrence_matrices", "co_occurrence_statistics"]

STATISTICS = (
    "autocorrelation",
    "contrast",
    "correlation_1",
    "correlation_2",
    "cluster_prominence",
    "cluster_shade",
    "dissimilarity",
    "energy",
    "entropy",
    "homogeneity_1",
    "homogeneity_2",
    "maximum_probability",
    "sum_of_squares",
    "sum_average",
    "sum_variance",
    "sum_entropy",
    "difference_variance",
    "difference_entropy",
    "information_measure_of_correlation_1",
    "information_measure_of_correlation_2",
    "inverse_difference",
    "normalised_inverse_difference",
    "normalised_inverse_difference_moment",
)

_ANGLES = (0.0, np.pi / 4, np.pi / 2, 3 * np.pi / 4)


def co_occurrence_matrices(
    channel: NDArray[np.uint8], mask: NDArray[np.bool_], levels: int = 32
) -> NDArray[np.float64]:
    """Count the pairs of neighbouring grey levels at 0°, 45°, 90° and 135°.

    Grey levels are quantised into equal bins of the whole range 0 to 255, so that they mean the same in all images.
    A pair counts, in both orders, if both of its pixels are in the mask.

    Args:
        channel: ``(H, W)``, uint8.
        mask: ``(H, W)``.
        levels: number G of grey levels, at most 255.

    Returns:
        Probabilities, ``(4, G, G)``; each matrix adds up to 1, or is zero if the mask has no pair in that direction.
    """
    # pixels outside the mask get a level of their own, whose pairs are then dropped
    quantised = np.where(mask, channel.astype(np.uint16) * levels // 256 + 1, 0).astype(np.uint8)
    counts = graycomatrix(quantised, [1], _ANGLES, levels + 1, symmetric=True)[1:, 1:, 0]  # (G, G, 4)
    matrices = np.moveaxis(counts, -1, 0).astype(np.float64)
    return matrices / np.maximum(matrices.sum(axis=(1, 2), keepdims=True), 1)


def co_occurrence_statistics(matrices: NDArray[np.float64]) -> NDArray[np.float64]:
    r"""Compute all of :data:`STATISTICS` for many symmetric matrices at once.

    With :math:`p_{ij}` the probability of the levels i, j = 1 … G, :math:`p_i` its row sums (equal to the column
    sums), :math:`\mu` and :math:`\sigma^2` mean and variance of :math:`p_i`, :math:`p^+_k` and :math:`p^-_k` the
    probabilities of :math:`i + j = k` and :math:`|i - j| = k`, and H the entropy in nats:

    - autocorrelation :math:`\sum ij\,p_{ij}` (Soh and Tsatsoulis 1999), contrast :math:`\sum (i-j)^2 p_{ij}`,
      dissimilarity :math:`\sum |i-j| p_{ij}`
    - correlation 1 :math:`\sum (i-\mu)(j-\mu) p_{ij} / \sigma^2`; correlation 2
      :math:`(\sum ij\,p_{ij} - \mu^2) / \sigma^2` (Haralick et al. 1973, f3): the same number in two forms, as in the
      list of the seed paper; 1 where there is one level only
    - cluster prominence and shade :math:`\sum (i+j-2\mu)^{4,\,3}\, p_{ij}` (Soh and Tsatsoulis 1999)
    - energy :math:`\sum p_{ij}^2` (f1), entropy :math:`H(p)` (f9), maximum probability
    - homogeneity 1 :math:`\sum p_{ij} / (1+|i-j|)`; homogeneity 2 :math:`\sum p_{ij} / (1+(i-j)^2)` (f5)
    - sum of squares :math:`\sum (i-\mu)^2 p_{ij}` (f4), sum average :math:`\sum k p^+_k` (f6), sum variance
      :math:`\sum (k - f_6)^2 p^+_k` (f7, with the mean in the place of the original's misprinted f8), sum entropy
      :math:`H(p^+)` (f8)
    - difference variance, the variance of the distribution :math:`p^-` (f10), and difference entropy (f11)
    - information measures of correlation (f12, f13): :math:`(H(p) - H_1) / H(p_i)` and
      :math:`\sqrt{1 - e^{-2 (H_2 - H(p))}}` with :math:`H_1 = -\sum p_{ij} \ln(p_i p_j)` and
      :math:`H_2 = -\sum p_i p_j \ln (p_i p_j)`
    - inverse difference :math:`\sum p_{ij} / (1+|i-j|)`, which is homogeneity 1 once more, normalised
      :math:`\sum p_{ij} / (1+|i-j|/G)` and its moment :math:`\sum p_{ij} / (1+(i-j)^2/G^2)` (Clausi 2002)

    Args:
        matrices: probabilities, ``(..., G, G)``, symmetric, each adding up to 1.

    Returns:
        ``(..., 23)``.
    """
    levels = matrices.shape[-1]
    flat = matrices.reshape(*matrices.shape[:-2], levels * levels)
    marginal = matrices.sum(axis=-1)  # (..., G)
    linear = flat @ _linear_weights(levels)  # (..., 7)
    autocorrelation, contrast, dissimilarity, inverse, inverse_moment, inverse_n, inverse_moment_n = np.moveaxis(
        linear, -1, 0
    )
    grey = np.arange(1, levels + 1)
    mean = marginal @ grey
    variance = (marginal * (grey - mean[..., None]) ** 2).sum(axis=-1)

    total, difference = flat @ _sum_selector(levels), flat @ _difference_selector(levels)
    sums = np.arange(2, 2 * levels + 1)
    sum_average = total @ sums
    deviation = sums - sum_average[..., None]  # of i + j from 2 μ
    sum_variance, shade, prominence = ((total * deviation**power).sum(axis=-1) for power in (2, 3, 4))

    # (i - μ)(j - μ) = ((i + j - 2 μ)² - (i - j)²) / 4
    correlation_1 = _ratio((sum_variance - contrast) / 4, variance)
    correlation_2 = _ratio(autocorrelation - mean**2, variance)
    entropy, marginal_entropy = entr(flat).sum(axis=-1), entr(marginal).sum(axis=-1)
    # both Haralick's HXY1 and HXY2 are 2 H(p_i), since the matrix has its row sums for column sums
    cross = -2 * xlogy(marginal, marginal).sum(axis=-1)
    columns = (
        autocorrelation,
        contrast,
        correlation_1,
        correlation_2,
        prominence,
        shade,
        dissimilarity,
        (flat**2).sum(axis=-1),
        entropy,
        inverse,
        inverse_moment,
        flat.max(axis=-1),
        variance,
        sum_average,
        sum_variance,
        entr(total).sum(axis=-1),
        contrast - dissimilarity**2,
        entr(difference).sum(axis=-1),
        np.divide(entropy - cross, marginal_entropy, out=np.zeros_like(entropy), where=marginal_entropy > 0),
        np.sqrt(np.clip(1 - np.exp(-2 * (cross - entropy)), 0, None)),
        inverse,
        inverse_n,
        inverse_moment_n,
    )
    return np.stack(columns, axis=-1)


def _ratio(covariance: NDArray[np.float64], variance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Divide; 1 where the variance is nothing but rounding."""
    return np.divide(covariance, variance, out=np.ones_like(variance), where=variance > 1e-12)


@functools.lru_cache(maxsize=4)
def _linear_weights(levels: int) -> NDArray[np.float64]:
    """Weights ``(G², 7)`` of the statistics that are linear in the probabilities."""
    i, j = (axis.ravel() for axis in np.mgrid[1 : levels + 1, 1 : levels + 1])
    distance = np.abs(i - j)
    return np.stack(
        [
            i * j,
            distance**2,
            distance,
            1 / (1 + distance),
            1 / (1 + distance**2),
            1 / (1 + distance / levels),
            1 / (1 + distance**2 / levels**2),
        ],
        axis=-1,
    ).astype(np.float64)


@functools.lru_cache(maxsize=4)
def _sum_selector(levels: int) -> NDArray[np.float64]:
    """Zeros and ones ``(G², 2 G - 1)`` that add up the probabilities with equal i + j."""
    i, j = (axis.ravel() for axis in np.mgrid[:levels, :levels])
    return np.eye(2 * levels - 1)[i + j]


@functools.lru_cache(maxsize=4)
def _difference_selector(levels: int) -> NDArray[np.float64]:
    """Zeros and ones ``(G², G)`` that add up the probabilities with equal |i - j|."""
    i, j = (axis.ravel() for axis in np.mgrid[:levels, :levels])
    return np.eye(levels)[np.abs(i - j)]
