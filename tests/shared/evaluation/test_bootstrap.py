"""The vectorised bootstrap against closed forms, scipy and one-by-one resampling."""

from __future__ import annotations

import time

import numpy as np
import pytest
from scipy import stats

from shared.evaluation.bootstrap import (
    bootstrap_difference,
    bootstrap_interval,
    bootstrap_weights,
    count_groups,
    interval_entry,
    percentile_interval,
    weighted_mean,
)


def all_weights(*args, **kwargs):
    return np.concatenate(list(bootstrap_weights(*args, **kwargs)))


def test_counts_are_multinomial():
    n, resamples = 7, 20_000
    counts = all_weights(n, resamples, seed=3)
    assert counts.shape == (resamples, n)
    assert np.all(counts.sum(axis=1) == n)
    # variance n p (1 - p), covariance -n p², with p = 1 / n
    covariance = np.cov(counts.T)
    expected = np.full((n, n), -1 / n) + np.eye(n)
    assert np.allclose(covariance, expected, atol=0.03)
    observed = np.bincount(counts[:, 0].astype(int), minlength=n + 1)
    expected_counts = resamples * stats.binom.pmf(np.arange(n + 1), n, 1 / n)
    head = [*range(4)]  # the tail pooled: expected counts there are too small for the test
    table = np.r_[observed[head], observed[4:].sum()], np.r_[expected_counts[head], expected_counts[4:].sum()]
    assert stats.chisquare(*table).pvalue > 1e-3


@pytest.mark.parametrize("options", [{}, {"strata": [0, 0, 1, 1, 1, 2]}, {"groups": list("aabbcc")}])
def test_chunks_do_not_change_the_draw(options):
    whole = all_weights(6, 50, seed=5, **options)
    pieces = all_weights(6, 50, seed=5, chunk_elements=20, **options)
    assert np.array_equal(whole, pieces)
    assert not np.array_equal(whole, all_weights(6, 50, seed=6, **options))


def test_strata_keep_their_size():
    strata = np.array(["a"] * 3 + ["b"] * 9 + ["c"])
    counts = all_weights(13, 200, strata=strata)
    for stratum, size in (("a", 3), ("b", 9), ("c", 1)):
        assert np.all(counts[:, strata == stratum].sum(axis=1) == size)
    assert counts[:, 0].std() > 0


def test_groups_are_drawn_whole():
    groups = np.array([4, 4, 4, 9, 9, 1])
    counts = all_weights(6, 300, groups=groups)
    assert np.array_equal(counts[:, 0], counts[:, 1])
    assert np.array_equal(counts[:, 3], counts[:, 4])
    drawn = counts[:, 0] + counts[:, 3] + counts[:, 5]
    assert np.all(drawn == 3)


def test_groups_within_strata():
    groups = np.array(["p", "p", "q", "r", "r"])
    strata = np.array([0, 0, 0, 1, 1])
    counts = all_weights(5, 200, groups=groups, strata=strata)
    assert np.all(counts[:, 0] + counts[:, 2] == 2)
    assert np.all(counts[:, 3] == 1)
    with pytest.raises(ValueError, match="'p' has samples in two strata"):
        all_weights(5, 10, groups=groups, strata=[0, 1, 0, 1, 1])


def test_clustered_data_get_the_wider_interval():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(20), 50)
    values = np.repeat(rng.normal(size=20), 50)
    naive = bootstrap_interval(weighted_mean, [values])
    clustered = bootstrap_interval(weighted_mean, [values], groups=groups)
    # all samples of a donor are equal: the error is that of 20 samples, not of 1000
    expected = 2 * 1.96 * values[::50].std() / np.sqrt(20)
    assert clustered.high - clustered.low == pytest.approx(expected, rel=0.15)
    assert (clustered.high - clustered.low) > 5 * (naive.high - naive.low)


def test_interval_of_a_mean_is_the_normal_one_and_scipys():
    values = np.random.default_rng(1).exponential(size=400)
    interval = bootstrap_interval(weighted_mean, [values], resamples=20_000, seed=2)
    theirs = stats.bootstrap((values,), np.mean, method="percentile", n_resamples=20_000, rng=4).confidence_interval
    error = values.std() / np.sqrt(400)
    assert interval.value == pytest.approx(values.mean())
    assert interval.low == pytest.approx(theirs.low, abs=0.06 * error)
    assert interval.high == pytest.approx(theirs.high, abs=0.06 * error)


def test_equals_one_by_one_resampling():
    values = np.random.default_rng(4).normal(size=30)
    rows = all_weights(30, 100, seed=9)
    slow = [np.mean(np.repeat(values, row.astype(int))) for row in rows]
    low, high = np.percentile(slow, [5, 95])
    interval = bootstrap_interval(weighted_mean, [values], resamples=100, seed=9, level=0.9)
    assert (interval.low, interval.high) == (pytest.approx(low), pytest.approx(high))
    assert interval.to_json()["ci90"] == [pytest.approx(low), pytest.approx(high)]


def test_coverage_of_the_interval():
    rng = np.random.default_rng(7)
    inside = 0
    for seed in range(300):
        interval = bootstrap_interval(weighted_mean, [rng.normal(size=80)], resamples=400, seed=seed)
        inside += interval.low <= 0 <= interval.high
    assert stats.binomtest(inside, 300, 0.94).pvalue > 1e-3


def test_paired_difference_uses_the_same_resamples():
    rng = np.random.default_rng(8)
    hard = rng.normal(scale=10, size=500)
    first, second = hard + 1.0, hard + rng.normal(scale=0.1, size=500)
    interval = bootstrap_difference(weighted_mean, [first], [second], seed=1)
    assert interval.value == pytest.approx(np.mean(first - second))
    direct = bootstrap_interval(weighted_mean, [first - second], seed=1)
    assert interval.low == pytest.approx(direct.low)
    assert interval.high == pytest.approx(direct.high)
    assert 0.9 < interval.low < interval.high < 1.1


def test_several_numbers_at_once():
    values = np.random.default_rng(3).normal(size=(40, 3))
    together = bootstrap_interval(weighted_mean, [values], seed=2)
    assert together.value.shape == (3,)
    for column in range(3):
        alone = bootstrap_interval(weighted_mean, [values[:, column]], seed=2)
        assert together[column].to_json()["ci95"] == pytest.approx(alone.to_json()["ci95"])
        assert together[column].value == pytest.approx(float(alone.value))


def test_undefined_resamples_are_left_out_and_reported():
    resampled = np.array([[1.0, np.nan], [2.0, np.nan], [np.nan, np.nan], [3.0, np.nan]])
    interval = percentile_interval([2.0, np.nan], resampled, level=0.5)
    assert interval.low[0] == 1.5
    assert interval.high[0] == 2.5
    assert interval.undefined.tolist() == [0.25, 1.0]
    assert np.isnan(interval.low[1])
    assert interval[0].to_json() == {"value": 2.0, "ci50": [1.5, 2.5], "undefined_resamples": 0.25}


def test_one_group_gives_no_interval_but_a_reason():
    values = np.random.default_rng(0).normal(size=30)
    alone = bootstrap_interval(weighted_mean, [values], groups=["a"] * 30, resamples=50)
    assert alone.groups == 1
    expected = {"value": pytest.approx(values.mean()), "ci95": None, "reason": "only one group"}
    assert alone.to_json() == expected
    two = bootstrap_interval(weighted_mean, [values], groups=["a"] * 15 + ["b"] * 15, resamples=50)
    assert two.groups == 2
    means = values[:15].mean(), values[15:].mean()
    assert two.to_json()["ci95"] == [pytest.approx(min(means)), pytest.approx(max(means))]
    assert bootstrap_interval(weighted_mean, [values[:1]], resamples=50).to_json()["ci95"] is None


def test_resamples_that_all_agree_give_no_interval():
    entry = bootstrap_interval(weighted_mean, [np.ones(30)], resamples=50).to_json()
    assert entry == {"value": 1.0, "ci95": None, "reason": "all resamples agree"}
    assert interval_entry(np.nan, (np.nan, np.nan), groups=1).keys() == {"value", "ci95"}


def test_groups_are_counted_in_the_smallest_stratum():
    assert count_groups(5) == 5
    assert count_groups(5, groups=list("aabbc")) == 3
    assert count_groups(5, groups=list("aabbc"), strata=[0, 0, 0, 0, 1]) == 1
    assert count_groups(0) == 0


def test_bad_arguments():
    with pytest.raises(ValueError, match="one common length"):
        bootstrap_interval(weighted_mean, [np.zeros(3), np.zeros(4)])
    with pytest.raises(ValueError, match="needs samples"):
        bootstrap_interval(weighted_mean, [np.zeros(0)])
    with pytest.raises(ValueError, match="groups must have one entry for each of the 3 samples"):
        bootstrap_interval(weighted_mean, [np.zeros(3)], groups=[1, 2])
    with pytest.raises(ValueError, match="level must be in"):
        percentile_interval(0.0, [0.0], level=95)
    with pytest.raises(ValueError, match="take one by its index"):
        bootstrap_interval(weighted_mean, [np.zeros((3, 2))]).to_json()


def test_a_thousand_resamples_are_quick():
    values = np.random.default_rng(0).normal(size=2000)
    start = time.process_time()
    bootstrap_interval(weighted_mean, [values])
    assert time.process_time() - start < 0.5
