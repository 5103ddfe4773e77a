"""Means over repeats against numbers per repeat, and intervals against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import softmax

from shared.evaluation.bootstrap import weighted_mean
from shared.study.measures import calibration_error, mean_over_repeats

N = 300


def test_a_mean_is_one_over_repeats_with_the_interval_of_a_mean_over_samples():
    values = np.random.default_rng(0).normal(size=(3, N, 1)) + np.array([0.0, 1.0, 2.0])[:, None, None]
    (estimate,) = mean_over_repeats(weighted_mean, [], [values], resamples=2000)
    assert estimate.value == pytest.approx(values.mean())
    assert estimate.repeat_sd == pytest.approx(np.std(values.mean(axis=(1, 2)), ddof=1))
    assert (estimate.n, estimate.repeats) == (N, 3)
    half = 1.96 * values.mean(axis=0).std() / np.sqrt(N)
    assert estimate.high - estimate.low == pytest.approx(2 * half, rel=0.1)


def test_what_is_shared_is_given_to_the_statistic_as_it_is_and_what_is_repeated_one_by_one():
    labels = np.arange(4.0)
    repeated = np.array([[1.0, 2, 3, 4], [10.0, 20, 30, 40]])

    def statistic(weights, first, second):
        return np.stack([weights @ (first * second), weights @ first], axis=1)

    both, only = mean_over_repeats(statistic, [labels], [repeated], resamples=20)
    assert both.value == pytest.approx((20 + 200) / 2)
    assert only.value == pytest.approx(6)


def test_strata_keep_their_sizes():
    labels = np.array([0] * 10 + [1] * 30)
    values = np.stack([labels, labels]).astype(float)[..., None]
    (estimate,) = mean_over_repeats(weighted_mean, [], [values], resamples=100, strata=labels)
    assert (estimate.low, estimate.value, estimate.high) == pytest.approx((0.75, 0.75, 0.75))


def slow_calibration_error(probabilities, labels, n_bins):
    """Σ over bins of |accuracy − confidence| weighted by the bin's share, sample by sample."""
    bins: dict[int, list[tuple[float, bool]]] = {}
    for row, label in zip(probabilities, labels, strict=True):
        top = max(row)
        bins.setdefault(min(int(top * n_bins), n_bins - 1), []).append((top, row.argmax() == label))
    gaps = [abs(np.mean([hit for _, hit in b]) - np.mean([top for top, _ in b])) * len(b) for b in bins.values()]
    return sum(gaps) / len(labels)


def test_calibration_error_is_the_mean_of_the_repeats_errors():
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 2, N)
    probabilities = softmax(2 * rng.normal(size=(3, N, 2)) + np.eye(2)[labels], axis=-1)
    expected = [slow_calibration_error(p, labels, 10) for p in probabilities]
    estimate = calibration_error(probabilities, labels, n_bins=10, resamples=200, strata=labels)
    assert estimate.value == pytest.approx(np.mean(expected))
    assert estimate.repeat_sd == pytest.approx(np.std(expected, ddof=1))
    assert estimate.low <= estimate.value <= estimate.high


def test_the_null_band_holds_a_perfect_predictor_and_not_an_overconfident_one():
    rng = np.random.default_rng(5)
    tumoral = rng.random(N)
    honest = np.stack([1 - tumoral, tumoral], axis=1)
    inside = overconfident = 0
    for _ in range(60):
        truth = (rng.random(N) < tumoral).astype(int)
        # the same predictor in three repeats must not look better than in one
        estimate = calibration_error(np.stack([honest] * 3), truth, resamples=200)
        inside += estimate.null_low <= estimate.value <= estimate.null_high
        sharp = calibration_error(softmax(np.log(honest) / 0.3, axis=1)[None], truth, resamples=200)
        overconfident += sharp.value > sharp.null_high
    assert inside >= 52  # 95 % of 60 are 57; fewer than 52 has a probability below 1 %
    assert overconfident == 60
