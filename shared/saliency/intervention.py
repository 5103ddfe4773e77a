"""Whether the output and the maps follow a cause that alone is altered, everything else of a sample being fixed.

A sample is drawn S times: the strength of its cause rises, all other randomness stays. What follows the cause rises
with it. The numbers are rank correlations with the strength, one for each of P samples, whose mean is reported: how
much the output rises is a matter of the network's scale, that it rises is not.

Of a map it is the share of its total magnitude that lies on the cause: a map that merely grows with the contrast of the
image, everywhere alike, does not respond. The share on a growing cause would rise by the area alone, whatever the
method, so it is taken on one region per sample, all that the cause takes at any strength. A map that knows nothing of
the cause stays at 0. One that follows the image, an edge map, still does not: where the cause is drawn with more
contrast it has a larger share of the edges, too. Read methods against that control.

The samples are few, so intervals are those of Student's t and not of a bootstrap, whose percentiles of three to five
samples cover far less than they claim.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata, t

from shared.evaluation.interpretability.file import not_measured, row
from shared.saliency.base import Sign

__all__ = [
    "NOT_GENERATED",
    "Altered",
    "mean_response",
    "rank_response",
    "response_rows",
    "share_in_cause",
    "unaltered_rows",
]

Altered = tuple[str, str | None]
"""What was altered, in words, and the class of the samples that it was altered in (``None`` where there is one)."""

#: Why nothing is altered in data that are not generated.
NOT_GENERATED = "the data are not generated phantoms: no sample can be drawn again with its cause alone altered"

#: Fewer samples have no interval: the standard deviation of two says next to nothing.
FEWEST = 3


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


def share_in_cause(maps: ArrayLike, causes: ArrayLike, sign: Sign = "signed") -> NDArray[np.float64]:
    """Return the share of each map's magnitude in all that the cause takes at any strength.

    ``Σ_{i ∈ R} x_i / Σ_i |x_i|``, R being the union of the causes of a sample at all strengths. What speaks against
    the class counts against it. A map of zeros has a share of 0.

    Args:
        maps: of P samples at S strengths, ``(P, S, …)``: pixels ``(H, W)``, or instances ``(N,)``.
        causes: where the cause is, same shape, boolean.
        sign: what of the map counts: its value, its magnitude, or what of it is positive.

    Returns:
        ``(P, S)``, in [−1, 1].

    Raises:
        ValueError: if shapes differ, or the cause of a sample is nowhere.

    Example:
        >>> share_in_cause([[[3.0, -1.0], [6.0, -2.0]]], [[[True, False], [True, False]]]).tolist()
        [[0.75, 0.75]]
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
    parts = attribution.reshape(*attribution.shape[:2], -1)
    inside = np.where(region.reshape(len(parts), 1, -1), parts, 0.0).sum(axis=2)
    total = np.abs(parts).sum(axis=2)
    share: NDArray[np.float64] = np.divide(inside, total, out=np.zeros_like(total), where=total > 0)
    # the order of summation makes equal shares differ in the last digits, and ranks would tell them apart
    return share.round(12)


def mean_response(responses: ArrayLike, level: float = 0.95) -> dict[str, Any]:
    """Return the mean of rank correlations with the interval of Student's t, ready for JSON.

    ``r̄ ± t_{P−1} s / √P``, cut off at −1 and 1.

    Args:
        responses: of each sample ``(P,)``.
        level: nominal coverage.

    Returns:
        ``{"value", "ci95", "n"}``; of fewer than three samples, or of samples that all respond alike, ``ci95`` is
        ``None`` and a ``reason`` is given.

    Raises:
        ValueError: if there is no sample.

    Example:
        >>> np.round(mean_response([0.2, 0.4, 0.6])["ci95"], 3).tolist()  # 0.4 ± 4.303 · 0.2 / √3
        [-0.097, 0.897]
    """
    values: NDArray[np.float64] = np.asarray(responses, dtype=np.float64)
    n = len(values)
    if n == 0:
        raise ValueError("expected the response of at least one sample, found none")
    mean, key = float(values.mean()), f"ci{100 * level:g}"
    if n < FEWEST:
        return {"value": mean, key: None, "n": n, "reason": f"{n} samples are too few for an interval"}
    if np.allclose(values, values[0], rtol=0, atol=1e-12):
        return {"value": mean, key: None, "n": n, "reason": f"all {n} samples respond alike"}
    half = float(t.ppf((1 + level) / 2, n - 1) * values.std(ddof=1) / np.sqrt(n))
    return {"value": mean, key: [max(mean - half, -1.0), min(mean + half, 1.0)], "n": n}


def response_rows(
    measure: str,
    responses: Mapping[Altered, ArrayLike],
    method: str | None = None,
    strengths: Mapping[str, Sequence[float]] | None = None,
) -> list[dict[str, Any]]:
    """Return the rows of ``output_response`` or of one method's ``map_response``.

    Args:
        measure: ``output_response`` or ``map_response``.
        responses: rank correlation of each sample ``(P,)``, see :func:`rank_response`, by what was altered and in
            which class.
        method: explanation method, for ``map_response``.
        strengths: of each thing altered, for the rows' parameters.

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
            entry = mean_response(values) | {"chance": 0.0, **own}
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
