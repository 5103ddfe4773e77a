"""How far attribution is gathered on few pixels or instances: Gini index and entropy of its magnitude.

Both describe and do not judge: a map on one pixel is as little of a lesion as one that is spread evenly.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shared.saliency.map_arrays import in_chunks, pixel_rows

__all__ = ["bag_entropy", "bag_gini", "entropy", "gini"]


def gini(maps: ArrayLike) -> NDArray[np.float64]:
    """Return the Gini index of each map's magnitude: 0 spread evenly, 1 all of it on one pixel.

    ``G = Σ_i (2i − P − 1) x_(i) / ((P − 1) Σ_i x_(i))`` with the magnitudes of the P pixels in ascending order. Hurley
    and Rickard, Comparing measures of sparsity, IEEE Transactions on Information Theory 55 (2009), table I, times
    ``P / (P − 1)``, so that 1 is reached for any number of pixels (or instances, of which there may be few); as a
    measure of explanations: Chalasani et al., Concise explanations of neural networks, ICML 2020.

    Args:
        maps: ``(B, …)``, finite.

    Returns:
        ``(B,)``, NaN where a map is zero everywhere or has one pixel.

    Example:
        >>> gini(np.array([[1.0, 1.0, 1.0, 1.0], [0.0, 0.0, -3.0, 0.0]])).tolist()
        [0.0, 1.0]
    """
    return in_chunks(_gini, pixel_rows(np.asarray(maps)))


def entropy(maps: ArrayLike) -> NDArray[np.float64]:
    """Return the entropy of each map's magnitude: 1 spread evenly, 0 all of it on one pixel.

    ``H = −Σ_i p_i log p_i / log P`` with ``p_i = |x_i| / Σ_j |x_j|`` over the P pixels. Complexity of Bhatt, Weller and
    Moura, Evaluating and aggregating feature-based model explanations, IJCAI 2020, definition 4, divided by its
    greatest value.

    Args:
        maps: ``(B, …)``, finite.

    Returns:
        ``(B,)``, NaN where a map is zero everywhere or has one pixel.

    Example:
        >>> entropy(np.array([[1.0, -1.0, 0.0, 0.0]])).tolist()
        [0.5]
    """
    return in_chunks(_entropy, pixel_rows(np.asarray(maps)))


def bag_gini(values: ArrayLike, lengths: ArrayLike) -> NDArray[np.float64]:
    """Return the Gini index of the values of each bag's instances, as :func:`gini` does of maps.

    Args:
        values: of the instances of all bags, one bag after another, ``(T,)``.
        lengths: number of instances of each bag, ``(B,)``, adding up to T.

    Returns:
        ``(B,)``, NaN where all values of a bag are zero, or it has fewer than two instances.

    Raises:
        ValueError: if the lengths do not add up to T.
    """
    magnitude, sizes, bag = _bags(values, lengths)
    order = np.lexsort((magnitude, bag))
    place = np.arange(len(bag)) - (np.cumsum(sizes) - sizes)[bag]  # from 0 on, within the bag
    weighted = np.bincount(bag, (2 * place - sizes[bag] + 1) * magnitude[order], minlength=len(sizes))
    return _ratio(weighted, (sizes - 1) * np.bincount(bag, magnitude, minlength=len(sizes)))


def bag_entropy(values: ArrayLike, lengths: ArrayLike) -> NDArray[np.float64]:
    """Return the entropy of the values of each bag's instances, as :func:`entropy` does of maps.

    Args:
        values: of the instances of all bags, one bag after another, ``(T,)``.
        lengths: number of instances of each bag, ``(B,)``, adding up to T.

    Returns:
        ``(B,)``, NaN where all values of a bag are zero, or it has fewer than two instances.

    Raises:
        ValueError: if the lengths do not add up to T.
    """
    magnitude, sizes, bag = _bags(values, lengths)
    total = np.bincount(bag, magnitude, minlength=len(sizes))
    share = _ratio(magnitude, total[bag])
    terms = 0.0 - np.bincount(bag, share * np.log(np.where(share > 0, share, 1)), minlength=len(sizes))
    return np.where(total > 0, _ratio(terms, np.log(np.maximum(sizes, 1))), np.nan)


def _gini(maps: NDArray[np.floating]) -> NDArray[np.float64]:
    ordered = np.sort(np.abs(maps), axis=1)
    n = ordered.shape[1]
    weighted = (ordered @ np.arange(1 - n, n, 2, dtype=np.float64)).astype(np.float64)
    return _ratio(weighted, (n - 1) * ordered.sum(axis=1, dtype=np.float64))


def _entropy(maps: NDArray[np.floating]) -> NDArray[np.float64]:
    magnitude = np.abs(maps).astype(np.float64)
    total, n = magnitude.sum(axis=1, keepdims=True), magnitude.shape[1]
    share = np.divide(magnitude, total, out=magnitude, where=total > 0)
    terms = 0.0 - (share * np.log(np.where(share > 0, share, 1))).sum(axis=1)
    return np.where(total[:, 0] > 0, _ratio(terms, np.full(len(terms), np.log(n))), np.nan)


def _ratio(numerator: NDArray[np.number], denominator: NDArray[np.number]) -> NDArray[np.float64]:
    """Return the quotient, NaN where the denominator is not positive."""
    return np.divide(numerator, denominator, out=np.full(len(numerator), np.nan), where=denominator > 0)


def _bags(values: ArrayLike, lengths: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.intp], NDArray[np.intp]]:
    """Return magnitudes ``(T,)``, lengths ``(B,)`` and the bag of each instance ``(T,)``."""
    magnitude, sizes = np.abs(np.asarray(values, dtype=np.float64)), np.asarray(lengths, dtype=np.intp)
    if magnitude.ndim != 1 or sizes.ndim != 1 or sizes.sum() != len(magnitude):
        raise ValueError(
            f"values (T,) and lengths (B,) that add up to T expected, found {magnitude.shape} and lengths of "
            f"{int(sizes.sum())} instances"
        )
    return magnitude, sizes, np.repeat(np.arange(len(sizes)), sizes)
