"""How alike a method's maps of different images are: what likeness of two maps has to be compared with."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shared.saliency.base import Sign
from shared.saliency.sanity.explained import Maps
from shared.saliency.sanity.likeness import likeness

__all__ = ["shuffled_likeness"]

PAIRINGS = 4


def shuffled_likeness(
    maps: Maps, sign: Sign = "signed", seed: int = 0, pairings: int = PAIRINGS
) -> dict[str, NDArray[np.float64]]:
    """Return the mean likeness of each sample's explanation to those of other samples.

    Maps of images whose object sits in the middle are alike whatever the network has learnt, most of all where their
    magnitude counts: a level of 0 would be wrong. Each image is paired with ``pairings`` others, by shifts of the
    samples in a random order, so that none is paired with itself. Values of a bag's instances have no place that they
    share with another bag's: unrelated orders have a rank correlation of 0, which is the level.

    Args:
        maps: of each of B samples a map ``(H, W)``, all of one size, or values of its instances ``(N_b,)``.
        sign: what of the explanations counts.
        seed: of the order.
        pairings: other samples that each is compared with, fewer where there are not as many.

    Returns:
        ``(B,)`` for each kind of :func:`~shared.saliency.sanity.likeness.likeness`; NaN where none of the pairs can be
        compared, or there is one map only.
    """
    count = len(maps)
    if maps[0].ndim == 1:
        return {kind: np.zeros(count) for kind in likeness(maps, maps, sign)}
    order = np.random.default_rng(seed).permutation(count)
    shuffled = np.asarray(maps)[order]
    shifts = range(1, min(pairings, count - 1) + 1)
    parts = [likeness(shuffled, np.roll(shuffled, shift, axis=0), sign) for shift in shifts]
    if not parts:
        return {kind: np.full(count, np.nan) for kind in likeness(shuffled, shuffled, sign)}
    levels = {}
    for kind in parts[0]:
        values = np.array([part[kind] for part in parts])  # (P, B)
        known = np.isfinite(values)
        total, number = np.where(known, values, 0.0).sum(axis=0), known.sum(axis=0)
        levels[kind] = np.full(count, np.nan)
        levels[kind][order] = np.divide(total, number, out=np.full(count, np.nan), where=number > 0)
    return levels
