"""The skew of weights against closed forms and the definitions written out."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

from shared.evaluation.weight_skew import skew_against_size, weight_skew


def test_equal_and_one_sided_weights_have_closed_forms():
    skew = weight_skew([1, 1, 1, 1, 0, 0, 5, 0, 0], [4, 5])
    assert skew["effective_instances"].tolist() == pytest.approx([4, 1])
    assert skew["effective_share"].tolist() == pytest.approx([1, 0.2])
    assert skew["gini"].tolist() == pytest.approx([0, 4 / 5])
    assert skew["largest_weight"].tolist() == pytest.approx([0.25, 1])


def test_any_weights_equal_the_definitions():
    rng = np.random.default_rng(0)
    lengths = [3, 17, 40]
    weights = rng.gamma(0.4, size=60)
    skew = weight_skew(weights, lengths)
    for bag, (start, end) in enumerate(itertools.pairwise(np.cumsum([0, *lengths]))):
        a = weights[start:end] / weights[start:end].sum()
        assert skew["effective_instances"][bag] == pytest.approx(1 / sum(a**2))
        pairs = sum(abs(x - y) for x, y in itertools.product(a, repeat=2))
        assert skew["gini"][bag] == pytest.approx(pairs / (2 * len(a)))


def test_summary_tells_weights_that_follow_the_size_from_weights_that_do_not():
    rng = np.random.default_rng(1)
    lengths = rng.integers(16, 199, 60)
    even = skew_against_size(weight_skew(np.ones(lengths.sum()), lengths), resamples=100)
    assert even["effective_instances"]["rank_correlation_with_size"]["value"] == pytest.approx(1)
    assert even["effective_share"]["mean"]["value"] == pytest.approx(1)
    # constant, so without a correlation
    assert np.isnan(even["gini"]["rank_correlation_with_size"]["value"])

    # five instances of each bag have all weight
    few = np.concatenate([np.r_[rng.gamma(5, size=5), np.full(n - 5, 1e-6)] for n in lengths])
    skew = weight_skew(few, lengths)
    summary = skew_against_size(skew, resamples=200)
    assert summary["n"] == 60
    correlation = summary["effective_instances"]["rank_correlation_with_size"]
    assert correlation["value"] == pytest.approx(stats.spearmanr(lengths, skew["effective_instances"]).statistic)
    assert correlation["ci95"][0] < 0 < correlation["ci95"][1]
    assert summary["gini"]["rank_correlation_with_size"]["ci95"][0] > 0.9


@pytest.mark.parametrize(
    ("weights", "lengths", "message"),
    [([1.0], [1, 0], "positive"), ([1.0, -1.0], [2], "negative"), ([0.0, 0.0], [2], "bag 0"), ([1.0], [2], "sum T")],
)
def test_bad_weights_are_refused(weights, lengths, message):
    with pytest.raises(ValueError, match=message):
        weight_skew(weights, lengths)
