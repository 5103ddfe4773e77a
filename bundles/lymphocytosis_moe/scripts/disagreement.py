"""How far diagnoses from several sets of images of the same patients agree with each other (table 5 of the paper)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shared.evaluation.bootstrap import bootstrap_difference, bootstrap_interval, weighted_mean
from shared.evaluation.proportion_entry import interval_entries

__all__ = ["MEASURES", "disagreement", "fewer_disagreements", "majority_vote", "patient_measures"]

#: What is measured of each patient, and averaged over patients.
MEASURES = (
    "sets_against_majority",
    "patients_with_disagreement",
    "probability_spread",
    "set_accuracy",
    "majority_accuracy",
)


def majority_vote(probabilities: ArrayLike) -> NDArray[np.int64]:
    """Return the diagnosis of most sets of each patient; of an even split, that of the mean probability.

    Args:
        probabilities: of tumoral, for S sets of each of P patients, ``(P, S)``.

    Returns:
        0 (reactive) or 1 (tumoral), ``(P,)``.

    Example:
        >>> majority_vote([[0.4, 0.6, 0.7], [0.4, 0.9, 0.4], [0.1, 0.6, 0.2], [0.9, 0.8, 0.6]]).tolist()
        [1, 0, 0, 1]
    """
    values = _checked(probabilities)
    votes = (values > 0.5).mean(axis=1)
    return np.where(votes == 0.5, values.mean(axis=1) > 0.5, votes > 0.5).astype(np.int64)


def disagreement(
    probabilities: ArrayLike, labels: ArrayLike, *, resamples: int = 1000, seed: int = 0
) -> dict[str, dict[str, Any]]:
    """Measure the agreement between the sets of each patient, and with the truth.

    Args:
        probabilities: of tumoral, ``(P, S)``; above one half a set is called tumoral.
        labels: 0 (reactive) or 1 (tumoral), ``(P,)``.
        resamples: number of bootstrap resamples of patients.
        seed: seed of the bootstrap.

    Returns:
        Means over patients, each with ``value`` and ``ci95``: ``sets_against_majority``, the share of a patient's sets
        whose diagnosis is not that of the majority; ``patients_with_disagreement``, the share of patients with any such
        set; ``probability_spread``, the standard deviation of the probability over a patient's sets;
        ``set_accuracy``, the share of sets with the right diagnosis; ``majority_accuracy``.

    Raises:
        ValueError: if the shapes do not fit.
    """
    values = patient_measures(probabilities, labels)
    interval = bootstrap_interval(weighted_mean, [values], resamples=resamples, seed=seed)
    shares = {name: np.ones(len(values), dtype=bool) for name in MEASURES if name != "probability_spread"}
    return interval_entries(interval, MEASURES, shares, unit="patient")


def fewer_disagreements(
    probabilities: ArrayLike, reference: ArrayLike, labels: ArrayLike, *, resamples: int = 1000, seed: int = 0
) -> dict[str, dict[str, Any]]:
    """Return each measure of :func:`disagreement` minus that of a reference, with its paired bootstrap interval.

    Args:
        probabilities: of a model, ``(P, S)``.
        reference: of the model that it is compared with, on the same sets of the same patients, ``(P, S)``.
        labels: see :func:`disagreement`, as the rest.
        resamples: see there.
        seed: see there.
    """
    first, second = (patient_measures(values, labels) for values in (probabilities, reference))
    interval = bootstrap_difference(weighted_mean, [first], [second], resamples=resamples, seed=seed)
    return {name: interval[index].to_json() for index, name in enumerate(MEASURES)}


def patient_measures(probabilities: ArrayLike, labels: ArrayLike) -> NDArray[np.float64]:
    """Return the measures of each patient, ``(P, 5)`` in the order of ``MEASURES``.

    Args:
        probabilities: see :func:`disagreement`.
        labels: see :func:`disagreement`.

    Raises:
        ValueError: if the shapes do not fit.
    """
    values, truth = _checked(probabilities), np.asarray(labels)
    if truth.shape != (len(values),) or not np.isin(truth, (0, 1)).all():
        raise ValueError(f"expected labels 0 or 1 of shape ({len(values)},), found {truth!r}")
    called = values > 0.5  # (P, S)
    majority = majority_vote(values)
    against = (called != majority[:, None]).mean(axis=1)
    right = (called == truth[:, None]).mean(axis=1)
    return np.stack([against, against > 0, values.std(axis=1), right, majority == truth], axis=1).astype(np.float64)


def _checked(probabilities: ArrayLike) -> NDArray[np.float64]:
    values = np.asarray(probabilities, dtype=np.float64)
    if values.ndim != 2 or values.size == 0 or not np.all((values >= 0) & (values <= 1)):
        raise ValueError(f"expected probabilities (P, S) in [0, 1], found shape {values.shape} or values beyond")
    return values
