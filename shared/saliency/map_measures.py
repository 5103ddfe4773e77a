"""All measures of maps that need neither network nor gradients, sample by sample."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shared.saliency.base import Sign
from shared.saliency.concentration import entropy, gini
from shared.saliency.edge_agreement import edge_agreement
from shared.saliency.map_arrays import check_maps
from shared.saliency.overlap import TunedThreshold, iou_at
from shared.saliency.quality import MapQuality, map_quality
from shared.saliency.region_share import region_share

__all__ = ["map_measures"]


def map_measures(
    maps: ArrayLike,
    *,
    images: ArrayLike | None = None,
    masks: ArrayLike | None = None,
    background: ArrayLike | None = None,
    distractor: ArrayLike | None = None,
    shortcut: ArrayLike | None = None,
    tuned: TunedThreshold | None = None,
    sign: Sign = "signed",
    radius: float = 0.0,
) -> MapQuality:
    """Measure maps with whatever is known of their samples.

    Args:
        maps: attributions ``(B, H, W)``.
        images: ``(B, H, W)`` or ``(B, C, H, W)``; gives ``edge_agreement``.
        masks: where the cause is, ``(B, H, W)``; gives ``rank_accuracy``, ``localisation_auc``, ``mass_accuracy``,
            ``pointing_game``, ``cause_share`` and, with ``tuned``, ``iou``. Empty where a sample's cause is not known.
        background: what cannot matter, ``(B, H, W)``; gives ``background_share``.
        distractor: structures drawn to mislead, ``(B, H, W)``; gives ``distractor_share``.
        shortcut: a mark that goes with the class without causing it, ``(B, H, W)``; gives ``shortcut_share``.
        tuned: threshold of the IoU, chosen on other samples.
        sign: see :func:`shared.saliency.quality.map_quality`.
        radius: tolerance of the pointing game in pixels.

    Returns:
        By the names of :data:`shared.evaluation.interpretability.measures.MEASURES`, ``sparseness`` and ``entropy``
        always, ``value`` and ``chance`` ``(B,)``: NaN where a sample cannot be measured, and where there is no chance
        level. Those of several batches are joined by :func:`shared.saliency.map_arrays.join_samples`.

    Raises:
        ValueError: if shapes differ, a map or an image is not finite, a mask has another value than 0 and 1, or an
            option is unknown.
    """
    attributions = check_maps(maps)
    quality: MapQuality = {}
    if masks is not None:
        quality |= map_quality(attributions, masks, sign=sign, radius=radius)
        if tuned is not None:
            quality["iou"] = iou_at(attributions, masks, tuned.quantile, sign)
    quality["sparseness"] = _without_chance(gini(attributions))
    quality["entropy"] = _without_chance(entropy(attributions))
    if background is not None:
        quality["background_share"] = region_share(attributions, background, sign)
    if images is not None:
        agreement = edge_agreement(attributions, images)
        quality["edge_agreement"] = {"value": agreement, "chance": np.where(np.isnan(agreement), np.nan, 0.0)}
    for name, region in (("cause_share", masks), ("distractor_share", distractor), ("shortcut_share", shortcut)):
        if region is not None:
            quality[name] = region_share(attributions, region, sign)
    return quality


def _without_chance(values: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    return {"value": values, "chance": np.full(len(values), np.nan)}
