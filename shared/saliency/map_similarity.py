"""How alike two maps are, in structure and in the order of their pixels: batched, and for instances of bags.

Both are undefined, and NaN, where one of two maps is the same everywhere: a map that says nothing is neither like
another nor unlike it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shared.saliency.map_arrays import Floats, check_maps, in_chunks, pixel_rows
from shared.saliency.ranks import average_ranks, ragged_ranks

__all__ = ["bag_rank_correlation", "rank_correlation", "structural_similarity"]

# of a range of 1
_C1, _C2 = 0.01**2, 0.03**2


def structural_similarity(a: ArrayLike, b: ArrayLike, window: int = 7) -> NDArray[np.float64]:
    """Return the structural similarity (SSIM) of pairs of maps: 1 for equal ones, near 0 for unrelated ones.

    Mean over all windows that lie within the map of
    ``(2 μ_a μ_b + C₁)(2 σ_ab + C₂) / ((μ_a² + μ_b² + C₁)(σ_a² + σ_b² + C₂))`` with ``C₁ = (0.01 L)²`` and
    ``C₂ = (0.03 L)²``: Wang et al., Image quality assessment, IEEE Transactions on Image Processing 13 (2004), equation
    13, with uniform windows and sample covariances as ``skimage.metrics.structural_similarity`` has them. What maps
    need that photographs do not:

    - The size of attributions has no meaning across networks: each map is divided by its own root mean square, which
      leaves sign and zero where they are (Binder et al., Shortcomings of top-down randomization-based sanity checks,
      CVPR 2023).
    - L is 1, that root mean square, and not the range, which a few pixels set: most windows of a map with high peaks
      would be below the constants, and any two such maps alike (0.8 for two unrelated ones of noise around a spot).
    - SSIM is made for values that are not negative; a map and its negative would be alike. A signed map is a picture
      of two colours, its positive and its negative part: their SSIM is averaged with the share of each in the squares
      of both maps as its weight.

    Windows in which both maps are empty count as equal, so that sparse maps are never quite unlike each other.

    Args:
        a: maps ``(B, H, W)``; give magnitudes to compare without signs.
        b: maps ``(B, H, W)`` to compare them with.
        window: side of the windows in pixels, odd.

    Returns:
        ``(B,)``, NaN where one of the maps is the same everywhere.

    Raises:
        ValueError: if shapes differ, a map is not finite, or smaller than a window.

    Example:
        >>> maps = np.random.default_rng(0).normal(size=(1, 16, 16))
        >>> structural_similarity(maps, 5 * maps).round(9).tolist()
        [1.0]
    """
    first, second = _pair(check_maps(a), check_maps(b))
    if window < 3 or window % 2 == 0 or window > min(first.shape[1:]):
        raise ValueError(
            f"window must be odd, at least 3 and within maps of {first.shape[1]} x {first.shape[2]}, found {window}"
        )
    return in_chunks(lambda x, y: _structural(x, y, window), first, second)


def rank_correlation(a: ArrayLike, b: ArrayLike) -> NDArray[np.float64]:
    """Return Spearman's rank correlation of pairs of maps; pixels that tie share their mean rank.

    Args:
        a: maps ``(B, …)``; give magnitudes to compare without signs.
        b: maps ``(B, …)`` to compare them with.

    Returns:
        ``(B,)``, NaN where one of the maps is the same everywhere.

    Raises:
        ValueError: if shapes differ, or a map is not finite.

    Example:
        >>> rank_correlation(np.array([[1.0, 2.0, 9.0]]), np.array([[-3.0, -2.0, 0.5]])).tolist()
        [1.0]
    """
    first, second = _pair(np.asarray(a), np.asarray(b))
    return in_chunks(_rank_correlation, pixel_rows(first), pixel_rows(second))


def bag_rank_correlation(a: ArrayLike, b: ArrayLike, lengths: ArrayLike) -> NDArray[np.float64]:
    """Return Spearman's rank correlation of two sets of values of each bag's instances.

    Args:
        a: values of the instances of all bags, one bag after another, ``(T,)``.
        b: values to compare them with, ``(T,)``.
        lengths: number of instances of each bag, ``(B,)``, adding up to T.

    Returns:
        ``(B,)``, NaN where one of two sets of values is the same for all instances of a bag.

    Raises:
        ValueError: if shapes differ, a value is not finite, or the lengths do not add up to T.
    """
    first, second = _pair(np.asarray(a), np.asarray(b))
    sizes = np.asarray(lengths, dtype=np.intp)
    if first.ndim != 1 or sizes.ndim != 1 or sizes.sum() != len(first):
        raise ValueError(
            f"values (T,) and lengths (B,) that add up to T expected, found {first.shape} and lengths of "
            f"{int(sizes.sum())} instances"
        )
    bag = np.repeat(np.arange(len(sizes)), sizes)
    middle = (sizes[bag] + 1) / 2
    x, y = (ragged_ranks(values, sizes) - middle for values in (first, second))
    xy, xx, yy = (np.bincount(bag, product, minlength=len(sizes)) for product in (x * y, x * x, y * y))
    return _correlation(xy, xx, yy)


def _rank_correlation(a: Floats, b: Floats) -> NDArray[np.float64]:
    middle = (a.shape[1] + 1) / 2
    x, y = average_ranks(a) - middle, average_ranks(b) - middle
    return _correlation(*(np.einsum("bp,bp->b", p, q) for p, q in ((x, y), (x, x), (y, y))))


def _correlation(xy: NDArray[np.number], xx: NDArray[np.number], yy: NDArray[np.number]) -> NDArray[np.float64]:
    """Return correlations from sums of products of centred values, within their bounds."""
    scale = np.sqrt(xx * yy)
    quotient = np.divide(xy, scale, out=np.full(len(xy), np.nan), where=scale > 0)
    return np.clip(quotient, -1.0, 1.0)


def _structural(a: Floats, b: Floats, window: int) -> NDArray[np.float64]:
    x, y = _scaled(a), _scaled(b)
    similarity = np.zeros(len(x))
    for colour in (1, -1):
        own, other = np.maximum(colour * x, 0), np.maximum(colour * y, 0)
        # the squares of both maps have a mean of 1
        share = (np.square(own).mean(axis=(1, 2)) + np.square(other).mean(axis=(1, 2))) / 2
        if share.any():
            similarity += share * _mean_similarity(own, other, window)
    return np.where(_varies(a) & _varies(b), similarity, np.nan)


def _mean_similarity(x: NDArray[np.float64], y: NDArray[np.float64], window: int) -> NDArray[np.float64]:
    """Return the mean over all windows, ``(B,)``, of parts of maps that are not negative."""
    mean_x, mean_y, mean_xy, mean_squares = (_means(part, window) for part in (x, y, x * y, x * x + y * y))
    sample = window**2 / (window**2 - 1)
    product, squares = mean_x * mean_y, mean_x * mean_x + mean_y * mean_y
    covariance, variances = sample * (mean_xy - product), sample * (mean_squares - squares)
    similarity = (2 * product + _C1) * (2 * covariance + _C2) / ((squares + _C1) * (variances + _C2))
    return similarity.mean(axis=(1, 2))


def _scaled(maps: Floats) -> NDArray[np.float64]:
    """Return maps divided by their root mean square; one that is zero everywhere stays so."""
    values = maps.astype(np.float64)
    # first by the largest magnitude: squares of what is tiny would vanish
    for scale in (lambda part: np.abs(part).max(axis=(1, 2)), lambda part: np.sqrt(np.square(part).mean(axis=(1, 2)))):
        size = scale(values)
        values /= np.where(size > 0, size, 1.0)[:, None, None]
    return values


def _means(values: NDArray[np.float64], window: int) -> NDArray[np.float64]:
    """Return the means of the windows within each map: ``(B, H, W)`` to ``(B, H − window + 1, W − window + 1)``."""
    height, width = (size - window + 1 for size in values.shape[1:])
    # shifted maps are added up: quicker than a running sum along each line
    sums = values[:, :height].copy()
    for shift in range(1, window):
        sums += values[:, shift : shift + height]
    means = sums[:, :, :width].copy()
    for shift in range(1, window):
        means += sums[:, :, shift : shift + width]
    means /= window**2
    return means


def _varies(maps: Floats) -> NDArray[np.bool_]:
    rows = pixel_rows(maps)
    return rows.max(axis=1) > rows.min(axis=1)


def _pair(a: Floats, b: Floats) -> tuple[Floats, Floats]:
    if a.shape != b.shape:
        raise ValueError(f"two sets of maps must have one shape, found {a.shape} and {b.shape}")
    for values in (a, b):
        if not np.isfinite(values).all():
            raise ValueError("maps must be finite, found NaN or infinity")
    return a, b
