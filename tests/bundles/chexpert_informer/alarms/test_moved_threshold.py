"""The moved threshold against every threshold tried one by one."""

from __future__ import annotations

import numpy as np
import pytest

from shared.data.errors import DataError
from tests.oracles import informer as oracle


@pytest.fixture(scope="module")
def module(scripts):
    return scripts("alarms.moved_threshold")


@pytest.mark.parametrize("seed", range(30))
def test_moved_threshold_equals_brute_force(module, seed):
    rng = np.random.default_rng(seed)
    probability = rng.random(50).round(2 if seed % 2 else 12)
    label = (rng.random(50) < probability).astype(float)
    label[rng.random(50) < 0.2] = np.nan
    start = float(rng.random())
    found, search = module.fit_moved_threshold(probability, label, start)
    known = ~np.isnan(label)
    results = []
    for threshold in [start, -1.0, *np.unique(probability)]:
        called = probability > threshold
        changed = int((called != (probability > start))[known].sum())
        results.append((oracle.exact_f1(called.astype(int), label), -changed))
    best = max(results)
    assert search.f1_after == float(best[0])
    assert search.flagged == -best[1]
    assert search.f1_before == float(results[0][0])
    assert oracle.exact_f1((probability > found).astype(int), label) == best[0]


def test_a_threshold_that_cannot_be_bettered_stays(module):
    assert module.fit_moved_threshold([0.1, 0.4, 0.9], [0, 0, 1], 0.61)[0] == 0.61
    assert module.fit_moved_threshold([0.1, 0.4, 0.9], [0, 1, 1], 0.61, minimum_gain=0.5)[0] == 0.61
    assert module.fit_moved_threshold([0.1, 0.4, 0.9], [0, 1, 1], 0.61)[0] == pytest.approx(0.25)


def test_flags_are_the_predictions_that_change(module, make_table, calibrate):
    table = make_table()
    calibration = calibrate(table)
    moved = module.MovedThreshold((0.1, 0.9, float(calibration.thresholds[2])))
    p = calibration.probabilities(table.logits)
    flagged = moved.doubt(table, calibration) > 0.5
    np.testing.assert_array_equal(flagged, (p > moved.thresholds) != (p > calibration.thresholds))
    assert flagged[:, :2].any()
    assert not flagged[:, 2].any()


def test_a_finding_without_positives_is_refused(module):
    with pytest.raises(DataError, match="none of 2 known"):
        module.fit_moved_threshold([0.1, 0.2], [0, 0], 0.5)
