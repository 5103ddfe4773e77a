"""Areas under the ROC curve of several networks, each within the images that it was tested on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scripts.alarms.applied import AppliedAlarms
from shared.evaluation.bootstrap import Interval, bootstrap_interval
from shared.evaluation.multi_label import mean_of_defined, weighted_label_auc

__all__ = ["area_intervals", "areas_within_parts"]

Floats = NDArray[np.float64]


def areas_within_parts(weights: Floats, labels: Floats, scores: Floats, part: NDArray[np.integer]) -> Floats:
    """Return the mean over the parts of each finding's area, and the mean over the findings last.

    Scores of different networks are not compared with each other. A part in which a finding is nowhere present or
    nowhere absent has no area of it, and does not enter its mean.

    Args:
        weights: ``(R, N)``.
        labels: ``(N, K)`` with 0, 1, or NaN where unknown.
        scores: ``(N, K)``.
        part: number of each image's part ``(N,)``.

    Returns:
        ``(R, K + 1)``; NaN where no part has an area.
    """
    areas = [
        weighted_label_auc(weights[:, part == number], labels[part == number], scores[part == number])
        for number in np.unique(part)
    ]
    mean = mean_of_defined(np.stack(areas, axis=-1))  # (R, K)
    return np.concatenate([mean, mean_of_defined(mean)[:, None]], axis=1)


def area_intervals(
    applied: AppliedAlarms, part: NDArray[np.integer], reference: Floats | None, resamples: int, seed: int = 0
) -> dict[str, list[Interval]]:
    """Measure the networks, and another one on the same images.

    Args:
        applied: tested images of all parts.
        part: number of each image's part ``(N,)``.
        reference: scores of another network, one for all parts, ``(N, K)``.
        resamples: bootstrap resamples, by patient.
        seed: of the bootstrap.

    Returns:
        ``own``, and with a reference ``reference`` and ``difference`` (own less reference), K + 1 intervals each:
        those of the findings and of their mean.
    """

    def statistic(weights: Floats, labels: Floats, own: Floats, other: Floats, parts: NDArray[np.integer]) -> Floats:
        areas = areas_within_parts(weights, labels, own, parts)
        if reference is None:
            return areas
        # an image that several parts test counts in each of them, which changes no area
        others = areas_within_parts(weights, labels, other, np.zeros(len(parts), dtype=np.int64))
        return np.concatenate([areas, others, areas - others], axis=1)

    other = applied.margin if reference is None else reference
    arrays = [applied.label, applied.margin, other, np.asarray(part)]
    found = bootstrap_interval(statistic, arrays, resamples=resamples, seed=seed, groups=applied.patient)
    size = len(applied.classes) + 1
    names = ("own",) if reference is None else ("own", "reference", "difference")
    return {name: [found[k * size + index] for index in range(size)] for k, name in enumerate(names)}
