"""Overlap of the highest part of a map with the cause: IoU at a quantile of the map, chosen on validation samples.

A threshold is a quantile of each map, because the size of attributions has no meaning across images. The pixels above
it are as many of the highest as its share of the image; of pixels that tie at the last place each choice is equally
likely, and the IoU is the mean over these choices, so that a constant map has exactly the chance level.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shared.saliency.base import Sign
from shared.saliency.map_arrays import (
    Floats,
    Masks,
    check_maps,
    check_masks,
    check_sign,
    in_chunks,
    measurable,
    pixel_rows,
    signed_part,
)
from shared.saliency.ranks import tie_bounds

__all__ = ["QUANTILES", "TunedThreshold", "expected_iou", "iou", "iou_at", "tune_threshold"]

#: those that a threshold is chosen from
QUANTILES = tuple(float(quantile) for quantile in np.round(np.arange(0.5, 0.9951, 0.005), 3))


@dataclass(frozen=True)
class TunedThreshold:
    """A threshold that was chosen on samples of known cause.

    Attributes:
        quantile: of each map; what is above it is held for the cause.
        iou: mean IoU of the samples that it was chosen on, too good by the choice.
        n: their number.
    """

    quantile: float
    iou: float
    n: int


def iou(maps: ArrayLike, masks: ArrayLike, quantiles: Sequence[float], sign: Sign = "signed") -> NDArray[np.float64]:
    """Return the intersection over union of masks and the parts of maps above some quantiles.

    ``|A ∩ M| / |A ∪ M|``, with A the ``⌈(1 − q) P⌉`` highest of the P pixels.

    Args:
        maps: ``(B, H, W)``.
        masks: where the cause is, ``(B, H, W)``, boolean or 0 and 1.
        quantiles: T quantiles q, each in [0, 1).
        sign: see :func:`shared.saliency.quality.map_quality`.

    Returns:
        ``(B, T)``, NaN where a mask is empty or the whole image.

    Raises:
        ValueError: if shapes differ, a map is not finite, a mask has another value than 0 and 1, the sign is unknown,
            or a quantile is outside [0, 1).

    Example:
        >>> iou(np.array([[[4.0, 3.0], [2.0, 1.0]]]), np.array([[[1, 0], [0, 0]]]), [0.0, 0.5, 0.75]).tolist()
        [[0.25, 0.5, 1.0]]
    """
    check_sign(sign)
    attributions = check_maps(maps)
    truth = check_masks(masks, attributions.shape)
    sizes = _sizes(quantiles, attributions[0].size if len(attributions) else 1)
    return in_chunks(lambda part, mask: _iou(signed_part(part, sign), mask, sizes), attributions, truth)


def iou_at(maps: ArrayLike, masks: ArrayLike, quantile: float, sign: Sign = "signed") -> dict[str, NDArray[np.float64]]:
    """Return the IoU at one quantile beside that of a random map, the mean over all choices of as many pixels.

    Args:
        maps: ``(B, H, W)``.
        masks: ``(B, H, W)``, boolean or 0 and 1.
        quantile: in [0, 1), of :func:`tune_threshold` for instance.
        sign: see :func:`shared.saliency.quality.map_quality`.

    Returns:
        ``value`` and ``chance`` ``(B,)``, NaN where a mask is empty or the whole image.

    Raises:
        ValueError: as :func:`iou`.
    """
    value = iou(maps, masks, [quantile], sign)[:, 0]
    truth = pixel_rows(np.asarray(masks)) == 1
    pixels = np.full(len(truth), truth.shape[1])
    area, nothing = truth.sum(axis=1), np.zeros(len(truth), dtype=np.int64)
    (chosen,) = _sizes([quantile], truth.shape[1])
    chance = expected_iou(nothing, pixels, area, np.full(len(truth), chosen), area + chosen)
    return {"value": value, "chance": measurable(chance, truth)}


def tune_threshold(
    maps: ArrayLike, masks: ArrayLike, sign: Sign = "signed", quantiles: Sequence[float] = QUANTILES
) -> TunedThreshold:
    """Choose the quantile of the highest mean IoU; of several that are equal, the lowest.

    Args:
        maps: of samples that are measured nowhere else (validation), ``(B, H, W)``.
        masks: ``(B, H, W)``, boolean or 0 and 1; samples whose mask is empty or full are left out.
        sign: see :func:`shared.saliency.quality.map_quality`.
        quantiles: those to choose from.

    Raises:
        ValueError: if no mask can be measured against, or as :func:`iou`.
    """
    overlaps = iou(maps, masks, quantiles, sign)
    known = ~np.isnan(overlaps).any(axis=1)
    if not known.any():
        raise ValueError("a threshold needs samples with a mask that is neither empty nor the whole image, found none")
    means = overlaps[known].mean(axis=0)
    best = int(np.argmax(means))
    return TunedThreshold(float(quantiles[best]), float(means[best]), int(known.sum()))


def expected_iou(
    certain: NDArray[np.integer],
    tied: NDArray[np.integer],
    tied_inside: NDArray[np.integer],
    places: NDArray[np.integer],
    sizes: NDArray[np.integer],
) -> NDArray[np.float64]:
    """Return the mean IoU over all choices of some of the pixels that tie, each choice being equally likely.

    With H of the chosen pixels in the mask, hypergeometric, the intersection is ``I = certain + H`` and the IoU
    ``I / (sizes − I)``. Probabilities come from their ratios ``p(h + 1) / p(h)``; those beyond eight standard
    deviations and twenty pixels from the mean are left out.

    Args:
        certain: pixels of the mask that are chosen in any case, ``(N,)``, all arguments alike.
        tied: pixels to choose from.
        tied_inside: how many of these are in the mask.
        places: how many of these are chosen.
        sizes: size of the mask plus that of all that is chosen.
    """
    lowest, highest = np.maximum(0, places - (tied - tied_inside)), np.minimum(tied_inside, places)
    share = tied_inside / np.maximum(tied, 1)
    mean = places * share
    spread = np.sqrt(mean * (1 - share) * (tied - places) / np.maximum(tied - 1, 1))
    start = np.maximum(lowest, np.floor(mean - 8 * spread).astype(np.int64) - 20)
    end = np.minimum(highest, np.ceil(mean + 8 * spread).astype(np.int64) + 20)
    steps = np.arange(int((end - start).max(initial=0)) + 1)
    hits = start[:, None] + steps  # (N, S)
    possible = hits <= end[:, None]
    before = np.where(possible, hits, start[:, None] + 1)[:, 1:] - 1
    others = (tied - tied_inside - places)[:, None]
    # what is impossible has a ratio without meaning, and no weight below
    ratios = (tied_inside[:, None] - before) * (places[:, None] - before) / ((before + 1.0) * (others + before + 1))
    logarithms = np.zeros(hits.shape)
    logarithms[:, 1:] = np.cumsum(np.log(np.where(possible[:, 1:], ratios, 1.0)), axis=1)
    weights = np.where(possible, np.exp(logarithms - logarithms.max(axis=1, keepdims=True)), 0.0)
    shared = np.where(possible, certain[:, None] + hits, 0)
    return (weights * shared / (sizes[:, None] - shared)).sum(axis=1) / weights.sum(axis=1)


def _sizes(quantiles: Sequence[float], pixels: int) -> NDArray[np.int64]:
    """Return how many pixels lie above each quantile."""
    values = np.asarray(quantiles, dtype=np.float64)
    if values.ndim != 1 or not len(values) or not np.all((values >= 0) & (values < 1)):
        raise ValueError(f"quantiles must be in [0, 1), found {quantiles}")
    # rounded first: (1 − 0.9) · 10 is a little more than 1
    return np.maximum(np.ceil(np.round((1 - values) * pixels, 6)), 1).astype(np.int64)


def _iou(maps: Floats, masks: Masks, sizes: NDArray[np.int64]) -> NDArray[np.float64]:
    values, truth = pixel_rows(maps), pixel_rows(masks)
    order = np.argsort(-values, axis=1)
    first, last = tie_bounds(np.take_along_axis(values, order, axis=1))
    inside = np.zeros((len(values), values.shape[1] + 1), dtype=np.int64)
    np.cumsum(np.take_along_axis(truth, order, axis=1), axis=1, out=inside[:, 1:])
    above, end = first[:, sizes - 1].astype(np.int64), last[:, sizes - 1].astype(np.int64) + 1  # (B, T)
    certain = np.take_along_axis(inside, above, axis=1)
    tied_inside = np.take_along_axis(inside, end, axis=1) - certain
    every = certain, end - above, tied_inside, sizes - above, truth.sum(axis=1, keepdims=True) + sizes
    overlaps = expected_iou(*(np.broadcast_to(part, above.shape).ravel() for part in every))
    return measurable(overlaps.reshape(above.shape), truth)
