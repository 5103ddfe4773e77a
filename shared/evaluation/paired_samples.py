"""Two means over samples, compared on the samples that both have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from shared.evaluation.bootstrap import bootstrap_interval, weighted_mean

__all__ = ["by_sample", "paired_mean_difference"]

#: decimals that are kept of a value of a sample
DECIMALS = 5


def by_sample(ids: Sequence[Any], values: ArrayLike, groups: ArrayLike | None = None) -> dict[str, list[Any]]:
    """Return values of samples, ready for JSON; samples without a value are left out.

    Args:
        ids: what tells the N samples apart, within whatever they are compared with.
        values: ``(N,)``, NaN where there is none.
        groups: donor or patient of each sample ``(N,)``.

    Example:
        >>> by_sample([0, 1, 2], [0.5, float("nan"), 1 / 3], ["a", "a", "b"])
        {'ids': [0, 2], 'values': [0.5, 0.33333], 'groups': ['a', 'b']}
    """
    numbers = np.asarray(values, dtype=np.float64)
    kept = np.flatnonzero(np.isfinite(numbers))
    content: dict[str, list[Any]] = {
        "ids": [ids[place] for place in kept.tolist()],
        "values": numbers[kept].round(DECIMALS).tolist(),
    }
    if groups is not None:
        content["groups"] = np.asarray(groups)[kept].astype(str).tolist()
    return content


def paired_mean_difference(
    first: Mapping[str, Any], second: Mapping[str, Any], *, resamples: int = 1000, seed: int = 0
) -> dict[str, Any] | None:
    """Return the mean of ``second - first`` over the samples that both have, with its bootstrap interval.

    Args:
        first: as of :func:`by_sample`.
        second: likewise.
        resamples: bootstrap resamples.
        seed: of the bootstrap.

    Returns:
        ``{"value", "ci95", "n"}`` as :meth:`shared.evaluation.bootstrap.Interval.to_json`; ``None`` if no sample is
        common.

    Example:
        >>> one, two = (by_sample(range(4), values) for values in ([0.1, 0.5, 0.9, 0.4], [0.2, 0.6, 1.0, 0.6]))
        >>> {key: value for key, value in paired_mean_difference(one, two).items() if key != "ci95"}
        {'value': 0.125, 'n': 4}
    """
    values = dict(zip(first["ids"], first["values"], strict=True))
    places = [place for place, name in enumerate(second["ids"]) if name in values]
    if not places:
        return None
    differences = np.array([second["values"][place] - values[second["ids"][place]] for place in places])
    groups = [second["groups"][place] for place in places] if "groups" in second else None
    interval = bootstrap_interval(weighted_mean, [differences], resamples=resamples, seed=seed, groups=groups)
    entry = interval.to_json()
    return entry | {"value": round(entry["value"], DECIMALS), "n": len(places)}
