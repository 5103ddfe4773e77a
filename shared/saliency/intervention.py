"""Whether the output and the maps follow a cause that alone is altered, everything else of a sample being fixed.

A sample is drawn S times: the strength of its cause rises, all other randomness stays. What follows the cause rises
with it. The numbers are rank correlations with the strength, one for each of P samples, whose mean is reported: how
much the output rises is a matter of the network's scale, that it rises is not.

A map's share in the cause would rise with a growing cause by its area alone, whatever the method. So its attribution is
added up over one region per sample, all that the cause takes at any strength: a map that knows nothing of the cause
stays at 0, and one that follows the image (an edge map) does not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

from shared.evaluation.bootstrap import bootstrap_interval, weighted_mean
from shared.evaluation.interpretability.file import not_measured, row
from shared.saliency.base import Sign

__all__ = [
    "NOT_GENERATED",
    "Altered",
    "attribution_in_cause",
    "rank_response",
    "response_rows",
    "unaltered_rows",
]

Altered = tuple[str, str | None]
"""What was altered, in words, and the class of the samples that it was altered in (``None`` where there is one)."""

#: Why nothing is altered in data that are not generated.
NOT_GENERATED = "the data are not generated phantoms: no sample can be drawn again with its cause alone altered"


def rank_response(values: ArrayLike, strengths: ArrayLike) -> NDArray[np.float64]:
    """Return Spearman's rank correlation of values with the strength of the cause, sample by sample.

    Ties share their mean rank. Values that are all equal do not respond: 0, the expectation over the orders that the
    tie allows.

    Args:
        values: of P samples at S strengths ``(P, S)``: logits, or attributions in the cause.
        strengths: rising strengths ``(S,)``.

    Returns:
        ``(P,)``, in [−1, 1].

    Raises:
        ValueError: if shapes differ, there are fewer than two strengths, they do not rise, or a value is not finite.

    Example:
        >>> rank_response([[0.0, 1.0, 5.0], [2.0, 1.0, 0.0], [3.0, 3.0, 3.0]], [0.0, 0.5, 1.0]).tolist()
        [1.0, -1.0, 0.0]
    """
    table: NDArray[np.float64] = np.asarray(values, dtype=np.float64)
    levels: NDArray[np.float64] = np.asarray(strengths, dtype=np.float64)
    if table.ndim != 2 or levels.shape != table.shape[1:]:
        raise ValueError(f"expected values (P, S) and strengths (S,), found {table.shape} and {levels.shape}")
    if len(levels) < 2 or not (np.diff(levels) > 0).all():
        raise ValueError(f"strengths must be at least two that rise, found {levels.tolist()}")
    if not np.isfinite(table).all():
        raise ValueError("values must be finite, found NaN or infinity")
    ranks = rankdata(table, axis=1) - (len(levels) + 1) / 2  # mean 0
    steps = np.arange(len(levels)) - (len(levels) - 1) / 2
    spread = np.sqrt((ranks**2).sum(axis=1) * (steps**2).sum())
    return np.divide(ranks @ steps, spread, out=np.zeros(table.shape[0]), where=spread > 0)


def attribution_in_cause(maps: ArrayLike, causes: ArrayLike, sign: Sign = "signed") -> NDArray[np.float64]:
    """Add up the attribution in all that the cause takes at any strength.

    Args:
        maps: of P samples at S strengths, ``(P, S, …)``: pixels ``(H, W)``, or instances ``(N,)``.
        causes: where the cause is, same shape, boolean.
        sign: what of the map counts: its value, its magnitude, or what of it is positive.

    Returns:
        ``(P, S)``.

    Raises:
        ValueError: if shapes differ, or the cause of a sample is nowhere.
    """
    attribution, where = np.asarray(maps, dtype=np.float64), np.asarray(causes, dtype=bool)
    if attribution.shape != where.shape or attribution.ndim < 3:
        raise ValueError(f"maps and causes must both be (P, S, …), found {attribution.shape} and {where.shape}")
    region = np.any(where, axis=1, keepdims=True)  # (P, 1, …)
    if nowhere := np.flatnonzero(~region.reshape(where.shape[0], -1).any(axis=1)).tolist():
        raise ValueError(f"the cause of sample {nowhere[0]} is nowhere at any strength")
    if sign == "absolute":
        attribution = np.abs(attribution)
    elif sign == "positive":
        attribution = np.maximum(attribution, 0)
    return np.where(region, attribution, 0.0).reshape(*attribution.shape[:2], -1).sum(axis=2)


def response_rows(
    measure: str,
    responses: Mapping[Altered, ArrayLike],
    method: str | None = None,
    strengths: Mapping[str, Sequence[float]] | None = None,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Return the rows of ``output_response`` or of one method's ``map_response``.

    Args:
        measure: ``output_response`` or ``map_response``.
        responses: rank correlation of each sample ``(P,)``, see :func:`rank_response`, by what was altered and in
            which class.
        method: explanation method, for ``map_response``.
        strengths: of each thing altered, for the rows' parameters.
        seed: of the bootstrap.

    Returns:
        For everything that was altered one row of all samples, and one of each class where a class is named. Chance
        level: 0.
    """
    rows = []
    for of in dict.fromkeys(thing for thing, _ in responses):
        parts = {label: np.asarray(values) for (thing, label), values in responses.items() if thing == of}
        own = {} if strengths is None else {"parameters": {"strengths": [float(level) for level in strengths[of]]}}
        groups: dict[str | None, NDArray[np.float64]] = {None: np.concatenate(list(parts.values()))}
        groups |= {label: values for label, values in parts.items() if label is not None}
        for label, values in groups.items():
            interval = bootstrap_interval(weighted_mean, [values], seed=seed).to_json()
            entry = interval | {"chance": 0.0, "n": len(values), **own}
            rows.append(row(measure, entry, method, label=label, of=of))
    return rows


def unaltered_rows(methods: Sequence[str], reason: str = NOT_GENERATED) -> list[dict[str, Any]]:
    """Return the rows of both measures where nothing was altered.

    Args:
        methods: keys of the explanation methods.
        reason: why.
    """
    return [
        not_measured("output_response", reason),
        *(not_measured("map_response", reason, method) for method in methods),
    ]
