"""Multi-step thresholds against every combination of thresholds."""

from __future__ import annotations

import numpy as np
import pytest

from shared.data.errors import DataError
from tests.oracles import informer as oracle


@pytest.fixture(scope="module")
def module(scripts):
    return scripts("alarms.steps")


@pytest.mark.parametrize("seed", range(25))
@pytest.mark.parametrize("steps", [2, 3])
def test_joint_search_equals_brute_force(module, seed, steps):
    rng = np.random.default_rng(seed)
    n = 24
    doubt = rng.random(n).round(1)
    doubt[rng.random(n) < 0.1] = np.nan
    prediction = (rng.random(n) < 0.4).astype(float)
    label = (rng.random(n) < 0.5).astype(float)
    label[rng.random(n) < 0.1] = np.nan
    step = rng.integers(0, steps, n)
    limits, found = module.step_thresholds(doubt, prediction, label, step, steps)
    best = oracle.best_f1_of_steps(doubt, prediction, label, step, steps)
    assert found.f1_after == float(best)
    flagged = doubt > np.array(limits)[step]
    assert oracle.exact_f1(oracle.swap(prediction, flagged), label) == best
    assert found.flagged == (flagged & ~np.isnan(label)).sum()


def test_one_step_is_the_exact_search(module, scripts):
    rng = np.random.default_rng(5)
    doubt, prediction, label = rng.random(200), rng.integers(0, 2, 200), rng.integers(0, 2, 200)
    exact = scripts("alarms.threshold_search").exact_threshold(doubt, prediction, label)
    (threshold,), found = module.step_thresholds(doubt, prediction, label, np.zeros(200, dtype=int), 1)
    assert threshold == exact.threshold
    assert (found.f1_after, found.flagged) == (exact.f1_after, exact.flagged)
    (never,), kept = module.step_thresholds(doubt, prediction, label, np.zeros(200, dtype=int), 1, minimum_gain=1)
    assert (never, kept.f1_after) == (np.inf, exact.f1_before)


def test_no_step_mixes_positive_and_negative_calls(module):
    p = np.linspace(0.01, 0.99, 99)
    cuts = module.step_cuts(p, 0.3, per_side=2)
    assert cuts[1] == 0.3
    np.testing.assert_allclose(cuts, [np.median(p[p <= 0.3]), 0.3, np.median(p[p > 0.3])])
    assert module.step_cuts(p, 0.3, per_side=1) == (0.3,)
    assert module.step_cuts([0.5], 0.3, per_side=2) == (0.3, 0.5)
    with pytest.raises(ValueError, match="at least one step"):
        module.step_cuts(p, 0.3, per_side=0)


def test_flags_are_doubts_above_the_threshold_of_their_step(module, scripts, make_table, calibrate):
    table = make_table()
    calibration = calibrate(table)
    source, found, reasons = module.fit_steps(table, calibration, "lrp", per_side=2)
    assert reasons == {}
    distinct = scripts("alarms.distinctiveness").distinctiveness(table.distances["lrp"])
    p, called = calibration.probabilities(table.logits), calibration.predictions(table.logits)
    flagged = source.doubt(table, calibration) > 0
    for k, name in enumerate(table.classes):
        step = (p[:, [k]] > np.array(source.cuts[k])).sum(axis=1)
        np.testing.assert_array_equal(flagged[:, k], -distinct[:, k] > np.array(source.thresholds[k])[step])
        swapped = oracle.swap(called[:, k], flagged[:, k])
        assert float(oracle.exact_f1(swapped, table.label[:, k])) == found[name].f1_after
        assert found[name].f1_after >= found[name].f1_before
    assert flagged.any()


def test_a_finding_without_positives_is_recorded_and_never_flagged(module, make_table, calibrate):
    table = make_table()
    calibration = calibrate(table)
    label = table.label.copy()
    label[:, 0] = 0
    source, found, reasons = module.fit_steps(type(table)(**{**vars(table), "label": label}), calibration, "lrp")
    assert list(reasons) == ["atelectasis"]
    assert "atelectasis" not in found
    assert not (source.doubt(table, calibration)[:, 0] > 0).any()
    with pytest.raises(DataError, match="positive"):
        module.step_thresholds([0.1], [1], [0], [0], 1)
