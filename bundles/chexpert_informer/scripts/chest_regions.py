"""Regions of the network's input, of which a film's truth image knows: the finding, the text, what cannot matter."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from skimage.morphology import convex_hull_image

from scripts.findings import FINDINGS, TRUTH
from scripts.original_image import OriginalImage

__all__ = ["case_regions"]

Masks = NDArray[np.bool_]


def case_regions(
    originals: Sequence[OriginalImage], findings: Sequence[int], marker_bit: int | None = None
) -> dict[str, Masks]:
    """Return ``cause``, ``background`` and ``shortcut`` of cases, on the grid of the network's input.

    Background is the padding, and where the lungs are known all that lies beyond their convex hull and the findings
    drawn: neither heart nor lungs are there. What is not known of a case is empty.

    Args:
        originals: image of each of N cases.
        findings: index of the finding of each.
        marker_bit: value of the bit that marks a text on the film; ``None`` if there is none.

    Returns:
        Masks ``(N, S, S)``; without ``cause`` and ``shortcut`` if no truth image is known.
    """
    made: dict[int, tuple[NDArray[np.uint8], Masks]] = {}
    for original in originals:
        if id(original) not in made:
            made[id(original)] = _fitted(original)
    bits = np.stack([made[id(original)][0] for original in originals])
    regions = {"background": np.stack([made[id(original)][1] for original in originals])}
    if any(original.truth is not None for original in originals):
        regions["cause"] = (bits >> np.asarray(findings, dtype=np.uint8)[:, None, None] & 1).astype(bool)
        if marker_bit is not None:
            regions["shortcut"] = (bits & marker_bit) > 0
    return regions


def _fitted(original: OriginalImage) -> tuple[NDArray[np.uint8], Masks]:
    """Return the bits and the background of one image ``(S, S)``."""
    placement = original.placement
    shown = placement.fit_mask(np.ones(placement.shape, dtype=np.uint8)) > 0
    if original.truth is None:
        return np.zeros(shown.shape, dtype=np.uint8), ~shown
    bits = placement.fit_mask(original.truth)
    lungs = (bits & TRUTH.value("lungs")) > 0
    drawn = (bits & sum(TRUTH.value(name) for name in FINDINGS)) > 0
    if not lungs.any():
        return bits, ~shown
    return bits, ~(convex_hull_image(lungs) | drawn)
