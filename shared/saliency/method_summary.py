"""What the index of explanations says of one method beside its maps: quality, stability over seeds, completeness."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from shared.saliency.base import Sign
from shared.saliency.integrated_gradients import IntegratedGradients
from shared.saliency.lime import LIME, lime_stability
from shared.saliency.quality import map_quality, summarise_quality

__all__ = ["completeness_summary", "mean_quality", "stability_summary"]

Maps = Mapping[int, NDArray[np.floating]]


def mean_quality(
    maps: Maps,
    masks: Mapping[int, NDArray[np.bool_]],
    measured: Sequence[int],
    *,
    sign: Sign,
    radius: float = 0.0,
    groups: ArrayLike | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Return the mean quality over samples; those whose cause is nowhere are counted apart.

    Args:
        maps: by sample, ``(H, W)`` each.
        masks: where the cause is, by sample, as far as it is known.
        measured: the samples, at least one.
        sign: what of a map is measured.
        radius: tolerance of the pointing game, pixels.
        groups: what the intervals resample whole.
        seed: of the bootstrap.
    """
    nowhere = np.zeros_like(maps[measured[0]], dtype=bool)
    quality = map_quality(
        np.stack([maps[index] for index in measured]),
        np.stack([masks.get(index, nowhere) for index in measured]),
        sign=sign,
        radius=radius,
    )
    return summarise_quality(quality, groups=groups, seed=seed)


def stability_summary(lime: LIME, images: torch.Tensor, targets: torch.Tensor, seeds: Sequence[int]) -> dict[str, Any]:
    """Return how far LIME's maps of images ``(N, C, H, W)`` agree over the seeds of its samples."""
    values = lime_stability(lime, images, targets, tuple(seeds)).double().cpu().numpy()
    defined = values[np.isfinite(values)]
    return {
        "rank_correlation": float(defined.mean()) if len(defined) else None,
        "standard_deviation": float(defined.std()) if len(defined) else None,
        "n": len(defined),
        "seeds": list(seeds),
    }


def completeness_summary(
    method: IntegratedGradients, images: torch.Tensor, maps: Maps, targets: torch.Tensor, batch_size: int
) -> dict[str, Any]:
    """Return how far the sums of maps are from what they should add up to, in units of the logit.

    Args:
        method: integrated gradients.
        images: ``(N, C, H, W)``.
        maps: of the images, in their order.
        targets: class that is explained of each ``(N,)``.
        batch_size: images at once.
    """
    stacked = torch.from_numpy(np.stack(list(maps.values()))).to(images)
    batches = zip(images.split(batch_size), stacked.split(batch_size), targets.split(batch_size), strict=True)
    gaps = torch.cat([method.completeness_gap(*batch) for batch in batches]).abs()
    return {"mean_absolute": float(gaps.mean()), "largest_absolute": float(gaps.max()), "n": len(gaps)}
