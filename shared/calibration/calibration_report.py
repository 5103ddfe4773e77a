"""All calibration measures of a set of predictions, each with its interval and its null band.

The interval (``ci95``) says how far the measure could differ on other samples of the same kind: a basic bootstrap
interval, see :func:`shared.calibration.resampling.basic_interval`; ``None`` with a ``reason`` where there is none, see
:func:`shared.evaluation.bootstrap.interval_entry`. The null band says which values a *perfect*
predictor with exactly these probabilities would show on so many samples: labels are drawn from the stated
probabilities (Bröcker and Smith 2007, "Increasing the reliability of reliability diagrams"), and the band holds the
central 95 % of the measure. A calibration error within its band is no sign of miscalibration. Equal-mass bins are
those of the data in all resamples.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, get_args

import numpy as np
from numpy.typing import ArrayLike

from shared.calibration.binning import BinnedSums, Binning, assign_bins, bin_edges, binned_sums
from shared.calibration.calibration_error import Norm, mean_over_classes, norm_of_gaps, top_label_event
from shared.calibration.proper_scores import TINY, decomposition_of_sums, log_scores, quadratic_scores
from shared.calibration.reliability import event_reliability, reliability_diagram
from shared.calibration.resampling import (
    basic_interval,
    central_interval,
    simulated_labels,
    simulated_outcomes,
)
from shared.calibration.validation import validated_binary, validated_multiclass
from shared.evaluation.bootstrap import bootstrap_weights, count_groups, interval_entry

__all__ = ["calibration_report", "multi_label_calibration_report"]

Measures = dict[str, np.ndarray]
Evaluate = Callable[[np.ndarray, np.ndarray | None], Measures]


def calibration_report(
    probabilities: ArrayLike,
    labels: ArrayLike,
    *,
    n_bins: int = 15,
    resamples: int = 1000,
    simulations: int = 1000,
    seed: int = 0,
    groups: ArrayLike | None = None,
) -> dict[str, Any]:
    """Measure the calibration of class probabilities.

    Args:
        probabilities: ``(N, K)``.
        labels: class indices ``(N,)``.
        n_bins: bins of the calibration errors, of the Brier decomposition and of the reliability diagram.
        resamples: bootstrap resamples for the intervals.
        simulations: simulated sets of labels for the null bands.
        seed: seed of both.
        groups: donor or patient of each sample ``(N,)``; whole groups are then resampled, because samples of one donor
            are not independent of one another.

    Returns:
        JSON types. Each of these keys holds ``{"value", "ci95": [low, high], "null_band": [low, high]}``:

        - ``top_label_<norm>_<binning>`` and ``classwise_<norm>_<binning>`` for the norms ``l1``, ``l2``, ``max`` and
          the binnings ``equal_width``, ``equal_mass`` (``top_label_l1_equal_width`` is what is mostly called the
          expected calibration error),
        - ``brier`` and its components ``brier_reliability``, ``brier_resolution``, ``brier_uncertainty``,
          ``brier_within_bin_variance``, ``brier_within_bin_covariance`` in equal-width bins, summed over the classes,
        - ``negative_log_likelihood`` in nats.

        Besides them ``n``, ``n_bins``, ``resamples``, ``simulations``, ``seed``, and ``reliability`` of the predicted
        class (see :func:`shared.calibration.reliability.reliability_diagram`).

    Raises:
        ValueError: if an argument is not allowed.
    """
    probabilities, labels = validated_multiclass(probabilities, labels)
    classes = range(probabilities.shape[1])
    top_bins = _bins_of(probabilities.max(axis=1), n_bins)
    class_bins = [_bins_of(probabilities[:, k], n_bins) for k in classes]

    def evaluate(labels: np.ndarray, weights: np.ndarray | None) -> Measures:
        measures: Measures = {}
        forecast, correct = top_label_event(probabilities, labels)
        is_class = [(labels == k).astype(np.float64) for k in classes]
        for binning in get_args(Binning):
            top = binned_sums(forecast, correct, top_bins[binning], n_bins, weights)
            per_class = [
                binned_sums(probabilities[:, k], is_class[k], class_bins[k][binning], n_bins, weights) for k in classes
            ]
            for norm in get_args(Norm):
                measures[f"top_label_{norm}_{binning}"] = norm_of_gaps(top, norm)
                errors = np.stack([norm_of_gaps(sums, norm) for sums in per_class], axis=-1)
                measures[f"classwise_{norm}_{binning}"] = mean_over_classes(errors, norm)
            if binning == "equal_width":
                measures |= _brier_components(per_class)
        measures["brier"] = _mean(quadratic_scores(probabilities, labels), weights)
        measures["negative_log_likelihood"] = _mean(log_scores(probabilities, labels), weights)
        return measures

    weights = bootstrap_weights(len(labels), resamples, seed=seed, groups=groups)
    simulated = simulated_labels(probabilities, simulations, np.random.default_rng(seed))
    drawn = count_groups(len(labels), groups)
    return _with_intervals(evaluate, labels, weights, simulated, drawn) | {
        "n": len(labels),
        "n_bins": n_bins,
        "resamples": resamples,
        "simulations": simulations,
        "seed": seed,
        "reliability": reliability_diagram(probabilities, labels, n_bins=n_bins),
    }


def multi_label_calibration_report(
    probabilities: ArrayLike,
    labels: ArrayLike,
    names: Sequence[str],
    *,
    n_bins: int = 15,
    resamples: int = 1000,
    simulations: int = 1000,
    seed: int = 0,
    groups: ArrayLike | None = None,
) -> dict[str, Any]:
    """Measure the calibration of labels that do not exclude one another, each label on its own.

    Args:
        probabilities: ``(N, L)``.
        labels: ``(N, L)`` with 0, 1, or NaN where unknown; unknown ones are left out.
        names: names of the labels, L.
        n_bins: bins of the calibration errors, of the Brier decomposition and of the reliability diagrams.
        resamples: bootstrap resamples for the intervals.
        simulations: simulated sets of labels for the null bands.
        seed: seed of both.
        groups: donor or patient of each sample ``(N,)``; whole groups are then resampled, because samples of one donor
            are not independent of one another.

    Returns:
        JSON types: ``{"labels": {name: {…, "n", "reliability"}}, "n_bins", "resamples", "simulations", "seed"}``. The
        measures of a label are ``<norm>_<binning>``, ``brier`` (here (p − y)², in [0, 1]) with its components, and
        ``negative_log_likelihood``, each as in :func:`calibration_report`.

    Raises:
        ValueError: if an argument is not allowed or a label is nowhere known.
    """
    probabilities, labels = validated_binary(probabilities, labels)
    if len(names) != labels.shape[1]:
        raise ValueError(f"expected {labels.shape[1]} names, one per label, found {len(names)}")
    rng = np.random.default_rng(seed)
    groups = None if groups is None else np.asarray(groups)
    reports = {}
    for name, forecast, outcome in zip(names, probabilities.T, labels.T, strict=True):
        known = ~np.isnan(outcome)
        forecast, outcome = forecast[known], outcome[known]
        units = None if groups is None else groups[known]
        reports[name] = _with_intervals(
            _event_measures(forecast, n_bins),
            outcome,
            bootstrap_weights(len(outcome), resamples, seed=seed, groups=units),
            simulated_outcomes(forecast, simulations, rng),
            count_groups(len(outcome), units),
        ) | {"n": len(outcome), "reliability": event_reliability(forecast, outcome, n_bins=n_bins)}
    return {"labels": reports, "n_bins": n_bins, "resamples": resamples, "simulations": simulations, "seed": seed}


def _event_measures(forecast: np.ndarray, n_bins: int) -> Evaluate:
    bins = _bins_of(forecast, n_bins)
    log_forecast, log_complement = np.log(np.maximum([forecast, 1 - forecast], TINY))

    def evaluate(outcome: np.ndarray, weights: np.ndarray | None) -> Measures:
        measures: Measures = {}
        for binning in get_args(Binning):
            sums = binned_sums(forecast, outcome, bins[binning], n_bins, weights)
            measures |= {f"{norm}_{binning}": norm_of_gaps(sums, norm) for norm in get_args(Norm)}
            if binning == "equal_width":
                measures |= _brier_components([sums])
        measures["brier"] = _mean((forecast - outcome) ** 2, weights)
        scores = -np.where(outcome == 1, log_forecast, log_complement)
        measures["negative_log_likelihood"] = _mean(scores, weights)
        return measures

    return evaluate


def _bins_of(forecast: np.ndarray, n_bins: int) -> dict[str, np.ndarray]:
    return {binning: assign_bins(forecast, bin_edges(forecast, n_bins, binning)) for binning in get_args(Binning)}


def _brier_components(per_class: Sequence[BinnedSums]) -> Measures:
    components = [decomposition_of_sums(sums)._asdict() for sums in per_class]
    return {f"brier_{name}": np.sum([part[name] for part in components], axis=0) for name in components[0]}


def _mean(scores: np.ndarray, weights: np.ndarray | None) -> np.ndarray:
    """Mean over the samples, of scores ``(N,)`` with weights ``(R, N)``, or of scores ``(N,)`` or ``(R, N)``."""
    return scores.mean(axis=-1) if weights is None else weights @ scores / weights.sum(axis=-1)


def _with_intervals(
    evaluate: Evaluate,
    labels: np.ndarray,
    weights: Iterable[np.ndarray],
    simulated: Iterable[np.ndarray],
    groups: int,
) -> dict[str, Any]:
    values = evaluate(labels, None)
    resampled = _concatenate(evaluate(labels, chunk) for chunk in weights)
    null = _concatenate(evaluate(chunk, None) for chunk in simulated)

    def entry(name: str, value: float) -> dict[str, Any]:
        # only the covariance may be negative; gaps between shares, which have a binning, are no larger than 1
        minimum = -np.inf if "covariance" in name else 0.0
        maximum = 1.0 if name.endswith(get_args(Binning)) else np.inf
        ends = basic_interval(value, resampled[name], minimum=minimum, maximum=maximum)
        return interval_entry(value, ends, groups) | {"null_band": central_interval(null[name])}

    return {name: entry(name, float(value)) for name, value in values.items()}


def _concatenate(chunks: Iterable[Measures]) -> Measures:
    parts = list(chunks)
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
