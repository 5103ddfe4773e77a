"""How alike two explanations of the same samples are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shared.saliency.base import Sign
from shared.saliency.map_similarity import bag_rank_correlation, rank_correlation, structural_similarity
from shared.saliency.sanity.explained import Maps

__all__ = ["headline", "likeness"]

Floats = NDArray[np.float64]


def likeness(first: Maps, second: Maps, sign: Sign = "signed") -> dict[str, Floats]:
    """Compare two explanations of each of B samples.

    Args:
        first: of each sample a map ``(H, W)``, all of one size, or values of its instances ``(N_b,)``.
        second: the same of another network or class.
        sign: what of the explanations counts.

    Returns:
        ``rank_correlation`` and, of maps, ``structural_similarity``, ``(B,)`` each, of the explanations as they are;
        and, unless they are never negative, ``rank_correlation_absolute`` and ``structural_similarity_absolute`` of
        their magnitudes, so that a map that turned its sign is told from one that changed. NaN where one of the two is
        constant: a map that shows nothing is like none and unlike none.
    """
    found = _compare(first, second)
    if sign == "positive":
        return found
    magnitudes = _compare([np.abs(one) for one in first], [np.abs(one) for one in second])
    return found | {f"{name}_absolute": values for name, values in magnitudes.items()}


def headline(sign: Sign) -> str:
    """Return the kind of likeness that a check judges: that of the magnitudes where these count."""
    return "rank_correlation_absolute" if sign == "absolute" else "rank_correlation"


def _compare(first: Maps, second: Maps) -> dict[str, Floats]:
    if first[0].ndim == 1:
        lengths = [len(values) for values in first]
        return {"rank_correlation": bag_rank_correlation(np.concatenate(first), np.concatenate(second), lengths)}
    a, b = np.asarray(first), np.asarray(second)
    return {"rank_correlation": rank_correlation(a, b), "structural_similarity": structural_similarity(a, b)}
