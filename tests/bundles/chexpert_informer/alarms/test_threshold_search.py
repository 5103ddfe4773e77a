"""The exact search and the paper's grid against every threshold tried one by one."""

from __future__ import annotations

import numpy as np
import pytest

from shared.data.errors import DataError
from tests.oracles import informer as oracle


@pytest.fixture(scope="module")
def module(scripts):
    return scripts("alarms.threshold_search")


def problem(seed, n=40, decimals=None):
    """Doubts with ties, some missing; labels with some unknown."""
    rng = np.random.default_rng(seed)
    doubt = rng.random(n) * 3
    if decimals is not None:
        doubt = doubt.round(decimals)
    prediction = (rng.random(n) < 0.4).astype(float)
    wrong = rng.random(n) < 0.2 + 0.5 * (doubt > 2)
    label = np.abs(prediction - wrong)
    label[rng.random(n) < 0.15] = np.nan
    doubt[rng.random(n) < 0.1] = np.nan
    return doubt, prediction, label


def candidates(doubt):
    return [np.inf, -np.inf, *np.unique(doubt[~np.isnan(doubt)])]


def after(doubt, prediction, label, threshold):
    flagged = doubt > threshold
    return oracle.exact_f1(oracle.swap(prediction, flagged), label), int((flagged & ~np.isnan(label)).sum())


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("decimals", [None, 1, 0])
def test_exact_search_equals_brute_force(module, seed, decimals):
    doubt, prediction, label = problem(seed, decimals=decimals)
    found = module.exact_threshold(doubt, prediction, label)
    f1, fewest = oracle.best_f1_of_thresholds(doubt, prediction, label, candidates(doubt))
    assert found.f1_after == float(f1)
    assert found.flagged == fewest
    assert after(doubt, prediction, label, found.threshold) == (f1, fewest)
    assert found.f1_before == float(oracle.exact_f1(prediction, label))
    known = ~np.isnan(label)
    assert (found.n, found.n_positive) == (known.sum(), (label == 1).sum())
    assert found.undirected == (known & np.isnan(doubt)).sum()


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("sign", [1, -1])
def test_grid_that_separates_all_distinct_values_equals_the_exact_search(module, seed, sign):
    doubt, prediction, label = problem(seed, decimals=3)  # distinct values lie on the grid
    doubt = sign * np.where(doubt == 0, 0.001, doubt)
    if sign < 0:
        # the published rule flags d < τ with τ up to the largest d, so that the largest is never flagged
        doubt[0], label[0] = -3.5, prediction[0]
        prediction[0] = label[0] = 1.0
    found = module.grid_threshold(doubt, prediction, label, step=0.001)
    exact = module.exact_threshold(doubt, prediction, label)
    assert found.f1_after == exact.f1_after
    assert found.flagged == exact.flagged
    known = ~np.isnan(label)
    np.testing.assert_array_equal((doubt > found.threshold)[known], (doubt > exact.threshold)[known])


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("sign", [1, -1])
def test_grid_equals_its_thresholds_tried_one_by_one(module, seed, sign):
    doubt, prediction, label = problem(seed)
    doubt = sign * doubt
    found = module.grid_threshold(doubt, prediction, label, step=0.17)
    largest = np.nanmax(np.abs(doubt))
    grid = [sign * 0.17 * i for i in range(1000) if 0.17 * i <= largest]
    f1, fewest = oracle.best_f1_of_thresholds(doubt, prediction, label, [np.inf, *grid])
    assert (found.f1_after, found.flagged) == (float(f1), fewest)
    assert found.f1_after <= module.exact_threshold(doubt, prediction, label).f1_after
    assert after(doubt, prediction, label, found.threshold) == (f1, fewest)


def test_informers_rule_is_distinctiveness_below_a_threshold(module):
    d = np.array([0.5004, 2.0, 3.0, 1.2])
    found = module.grid_threshold(-d, [0, 1, 0, 0], [1, 1, 0, 0])
    # swapping the first is right; the lowest τ of the grid above d = 0.5004 is 0.501
    assert -found.threshold == pytest.approx(0.501)
    np.testing.assert_array_equal(d < -found.threshold, [True, False, False, False])


def test_an_alarm_that_gains_nothing_is_not_raised(module):
    doubt, prediction = np.array([0.9, 0.8, 0.1]), np.array([1, 1, 0])
    assert module.exact_threshold(doubt, prediction, [1, 1, 0]).threshold == np.inf
    assert module.grid_threshold(doubt, prediction, [1, 1, 0]).threshold == np.inf
    # a gain from F1 2/3 to 1 is not more than 0.4
    gain = module.exact_threshold(doubt, prediction, [0, 1, 0])
    assert gain.f1_after - gain.f1_before == pytest.approx(1 / 3)
    assert gain.threshold == pytest.approx(0.85)
    assert module.exact_threshold(doubt, prediction, [0, 1, 0], minimum_gain=0.4).threshold == np.inf
    # all are wrong: everything is flagged
    assert module.exact_threshold(doubt, prediction, [0, 0, 1]).threshold == -np.inf
    # without a doubt there is nothing to flag
    assert module.exact_threshold([np.nan] * 3, prediction, [0, 0, 1]).flagged == 0


def test_neighbouring_floats_are_told_apart(module):
    low = 0.3
    high = np.nextafter(low, 1)
    found = module.exact_threshold([high, low], [1, 1], [0, 1])
    assert low <= found.threshold < high
    assert found.f1_after == 1


def test_what_cannot_be_searched_is_refused(module):
    with pytest.raises(DataError, match="none of 2 known samples is positive"):
        module.exact_threshold([0.1, 0.2, 0.3], [1, 0, 1], [0, 0, np.nan])
    with pytest.raises(ValueError, match=r"reach from -0\.1 to 0\.2"):
        module.grid_threshold([-0.1, 0.2], [1, 0], [1, 0])
    with pytest.raises(ValueError, match="finite"):
        module.exact_threshold([np.inf, 0.2], [1, 0], [1, 0])
    with pytest.raises(ValueError, match="predictions must be 0 or 1"):
        module.exact_threshold([0.1, 0.2], [0.5, 0], [1, 0])
    with pytest.raises(ValueError, match="one shape"):
        module.exact_threshold([0.1], [1, 0], [1, 0])
    with pytest.raises(ValueError, match="step"):
        module.grid_threshold([0.1, 0.2], [1, 0], [1, 0], step=0)


def test_thresholds_in_json(module):
    for value in (0.25, -1.5, np.inf, -np.inf):
        assert module.threshold_from_json(module.threshold_to_json(value)) == value
    assert module.threshold_to_json(np.inf) == "never"
    for wrong in ("sometimes", None, float("nan"), True):
        with pytest.raises(DataError, match="never"):
            module.threshold_from_json(wrong)
