"""Paired differences between networks, which judge the same bags after trainings with the same seeds."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from scripts.study.measures import over_bags_and_seeds
from scripts.study.results import HeldOutBags
from shared.study.measures import Estimate, mean_over_repeats

__all__ = ["REFERENCES", "common_repeats", "paired_difference"]

Floats = NDArray[np.float64]

#: networks that the others are compared with, by the name of their pooling
REFERENCES = ("attention", "gated_attention", "attention_maximum")

#: ``statistic(weights (R, B), logits (B,), positive (B,))`` returns ``(R,)``
BagStatistic = Callable[[Floats, Floats, NDArray[np.bool_]], Floats]


def paired_difference(
    statistic: BagStatistic,
    first: HeldOutBags,
    second: HeldOutBags,
    resamples: int,
    chosen: NDArray[np.bool_] | None = None,
    seeds: bool = True,
) -> Estimate | None:
    """Return the mean difference of a statistic of two networks, first minus second.

    A resample draws bags, stratified by class, and both networks are measured on it in each of the repeats that both
    have; the interval is that over bags and repeats together, see
    :func:`~scripts.study.measures.over_bags_and_seeds`.

    Args:
        statistic: of the bags, between 0 and 1.
        first: logits of the one network.
        second: of the other, for the same bags in the same order.
        resamples: of the bootstrap.
        chosen: bags that count, ``(B,)``; None for all.
        seeds: whether the interval is over repeats, too, and not over bags alone.

    Returns:
        The difference; None if the two have no repeat in common.
    """
    taken = np.ones(len(first.labels), dtype=bool) if chosen is None else chosen
    rows = common_repeats(first, second)
    if not rows[0]:
        return None
    positive = first.labels[taken] == 1

    def difference(weights: Floats, truth: NDArray[np.bool_], one: Floats, other: Floats) -> Floats:
        return (statistic(weights, one, truth) - statistic(weights, other, truth))[:, None]

    logits = [part.logits[chosen_rows][:, taken] for part, chosen_rows in zip((first, second), rows, strict=True)]
    estimate = mean_over_repeats(difference, [positive], logits, resamples=resamples, strata=positive)[0]
    return over_bags_and_seeds(estimate, least=-1.0) if seeds else estimate


def common_repeats(first: HeldOutBags, second: HeldOutBags) -> tuple[list[int], list[int]]:
    """Return in which rows of either are the repeats that both have: one may lack some that the other has."""
    common = [repeat for repeat in first.repeats if repeat in second.repeats]
    return [first.repeats.index(repeat) for repeat in common], [second.repeats.index(repeat) for repeat in common]
