"""Ranking of instances against the definitions written out, and chance levels against random orders."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from shared.evaluation.instance_ranking import instance_ranking


def ndcg_by_hand(values, positive):
    """NDCG@n of distinct values."""
    n = int(sum(positive))
    order = sorted(range(len(values)), key=lambda i: -values[i])
    gained = sum(positive[order[k]] / np.log2(k + 2) for k in range(n))
    return gained / sum(1 / np.log2(k + 2) for k in range(n))


def auc_by_hand(values, positive):
    pairs = [
        (a > b) + 0.5 * (a == b)
        for (a, p), (b, q) in itertools.product(zip(values, positive, strict=True), repeat=2)
        if p and not q
    ]
    return np.mean(pairs)


def test_each_bag_equals_the_definitions():
    rng = np.random.default_rng(0)
    lengths = [7, 12, 30]
    values, positive = rng.normal(size=49), rng.random(49) < 0.4
    measured = instance_ranking(values, positive, lengths)
    for bag, (start, end) in enumerate(itertools.pairwise(np.cumsum([0, *lengths]))):
        part = values[start:end], positive[start:end]
        assert measured["instance_auc"]["value"][bag] == pytest.approx(auc_by_hand(*part))
        assert measured["instance_ndcg"]["value"][bag] == pytest.approx(ndcg_by_hand(*part))


def test_chance_levels_are_the_mean_of_all_orders():
    values = np.array(list(itertools.permutations(range(5))), dtype=float)
    positive = np.tile([True, True, False, False, False], len(values))
    measured = instance_ranking(values.ravel(), positive, [5] * len(values))
    for name in measured:
        assert np.mean(measured[name]["value"]) == pytest.approx(measured[name]["chance"][0])


def test_ties_score_chance_and_a_perfect_order_one():
    label = [1, 0, 0, 1]
    measured = instance_ranking([2.0] * 4 + [4, 1, 2, 3], label * 2, [4, 4])
    for part in measured.values():
        np.testing.assert_allclose(part["value"], [part["chance"][0], 1.0])


def test_bags_of_one_kind_are_not_measured():
    measured = instance_ranking([1.0, 2.0, 3.0, 4.0], [0, 0, 1, 1], [2, 2])
    for part in measured.values():
        assert np.isnan(part["value"]).all()
        assert np.isnan(part["chance"]).all()


def test_arrays_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="sum to 3"):
        instance_ranking([1.0, 2.0], [0, 1], [3])
    with pytest.raises(ValueError, match="finite"):
        instance_ranking([1.0, np.nan], [0, 1], [2])
