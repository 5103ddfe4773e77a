"""The share of a map's magnitude that lies on a region: a cause, a distractor, a shortcut, the background."""

from __future__ import annotations

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
)

__all__ = ["region_share"]


def region_share(maps: ArrayLike, regions: ArrayLike, sign: Sign = "signed") -> dict[str, NDArray[np.float64]]:
    """Return the share of each map's magnitude on a region, beside the region's share of the image.

    ``Σ_{i ∈ R} |x_i| / Σ_i |x_i|``: the attribution mass of Arras, Osman and Samek, CLEVR-XAI, Information Fusion 81
    (2022), with magnitudes in the place of positive parts, because what speaks against a class from the background is
    as wrong as what speaks for it. A map without any attribution says nothing about the place and gets the chance
    level.

    Args:
        maps: ``(B, H, W)``.
        regions: ``(B, H, W)``, boolean or 0 and 1.
        sign: of a ``positive`` method only what is positive counts; of others the magnitude.

    Returns:
        ``value`` and ``chance`` ``(B,)``, NaN where a region is empty or the whole image.

    Raises:
        ValueError: if shapes differ, a map is not finite, a region has another value than 0 and 1, or the sign is
            unknown.

    Example:
        >>> share = region_share(np.array([[[3.0, -1.0], [0.0, 0.0]]]), np.array([[[1, 0], [0, 0]]]))
        >>> share["value"].item(), share["chance"].item()
        (0.75, 0.25)
    """
    check_sign(sign)
    attributions = check_maps(maps)
    truth = check_masks(regions, attributions.shape)
    return in_chunks(lambda part, region: _share(part, region, sign), attributions, truth)


def _share(maps: Floats, regions: Masks, sign: Sign) -> dict[str, NDArray[np.float64]]:
    values, truth = pixel_rows(maps), pixel_rows(regions)
    magnitude = (np.maximum(values, 0) if sign == "positive" else np.abs(values)).astype(np.float64)
    total, area = magnitude.sum(axis=1), truth.mean(axis=1)
    share = np.divide((magnitude * truth).sum(axis=1), total, out=area.copy(), where=total > 0)
    return {"value": measurable(share, truth), "chance": measurable(area, truth)}
