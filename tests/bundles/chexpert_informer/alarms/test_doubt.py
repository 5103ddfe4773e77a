"""Sources of doubt against their formulas, and what swapping by entropy can and cannot do."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit, logit
from scipy.stats import entropy as scipy_entropy

from shared.calibration.label_calibration import LabelCalibration
from shared.data.errors import DataError


@pytest.fixture(scope="module")
def doubt(scripts):
    return scripts("alarms.doubt")


def one_finding(scripts, logits, label, threshold):
    """A table and calibration of two findings, the second a copy of the first."""
    pair = np.column_stack([logits, logits])
    table = scripts("alarms.doubt_table").Doubts(
        id=np.arange(len(logits)).astype(str),
        patient=np.arange(len(logits)).astype(str),
        logits=pair,
        label=np.column_stack([label, label]),
        classes=("a", "b"),
    )
    ones = np.ones(2)
    return table, LabelCalibration(("a", "b"), "none", ones, 0 * ones, threshold * ones)


def test_entropy_is_equation_2(doubt, make_table, calibrate):
    table = make_table()
    calibration = calibrate(table, method="platt")
    for calibrated, p in ((False, expit(table.logits)), (True, calibration.probabilities(table.logits))):
        values = doubt.Entropy(calibrated).doubt(table, calibration)
        np.testing.assert_allclose(values, scipy_entropy(np.stack([p, 1 - p]), base=2), rtol=1e-9)
    with pytest.raises(ValueError, match="not logits"):
        doubt.binary_entropy([1.5])


def test_maximum_probability_orders_as_entropy_does(doubt, scripts, make_table, calibrate):
    table = make_table()
    calibration = calibrate(table)
    search = scripts("alarms.threshold_search").exact_threshold
    predictions = calibration.predictions(table.logits)
    by_entropy, by_probability = (
        source.doubt(table, calibration) for source in (doubt.Entropy(), doubt.MaximumProbability())
    )
    for k in range(3):
        first, second = (
            search(values[:, k], predictions[:, k], table.label[:, k]) for values in (by_entropy, by_probability)
        )
        np.testing.assert_array_equal(by_entropy[:, k] > first.threshold, by_probability[:, k] > second.threshold)


def test_error_probability_looks_at_the_decision(doubt, make_table, calibrate):
    table = make_table()
    calibration = calibrate(table)
    p, called = calibration.probabilities(table.logits), calibration.predictions(table.logits)
    expected = np.where(called == 1, 1 - p, p)
    np.testing.assert_allclose(doubt.ErrorProbability().doubt(table, calibration), expected, rtol=1e-12)


def test_random_doubts_depend_on_the_image_alone(doubt, make_table, calibrate):
    table = make_table(2000)
    calibration = calibrate(table)
    values = doubt.RandomDoubt(3).doubt(table, calibration)
    assert values.min() >= 0
    assert values.max() < 1
    assert abs(values.mean() - 0.5) < 0.02
    assert abs(np.corrcoef(values.T)[0, 1]) < 0.08
    chosen = np.array([7, 2, 100])
    np.testing.assert_array_equal(doubt.RandomDoubt(3).doubt(table.rows(chosen), calibration), values[chosen])
    assert not np.array_equal(doubt.RandomDoubt(4).doubt(table, calibration), values)


def test_informer_and_spreads_are_read_from_the_table(doubt, scripts, make_table, calibrate):
    table = make_table()
    calibration = calibrate(table)
    summed = scripts("alarms.distinctiveness").distinctiveness(table.distances["lrp"])
    np.testing.assert_array_equal(doubt.Informer("lrp").doubt(table, calibration), -summed)
    np.testing.assert_array_equal(doubt.Spread("tta").doubt(table, calibration), table.tta_std)
    np.testing.assert_array_equal(doubt.Spread("mc").doubt(table, calibration), table.mc_std)
    with pytest.raises(DataError, match="no maps of 'lime'"):
        doubt.Informer("lime").doubt(table, calibration)


@pytest.mark.parametrize("threshold", [0.1, 0.3, 0.5, 0.8])
@pytest.mark.parametrize("limit", [0.2, 0.6, 0.9])
def test_swapping_by_entropy_is_a_rule_on_the_probability_alone(doubt, scripts, threshold, limit):
    logits = np.linspace(-6, 6, 2001) + 0.0007
    table, calibration = one_finding(scripts, logits, np.zeros(len(logits)), threshold)
    flagged = doubt.Entropy().doubt(table, calibration)[:, 0] > limit
    called = calibration.predictions(logits[:, None].repeat(2, 1))[:, 0] == 1
    # H(p) > τ is the interval (½ − δ, ½ + δ) of the probability
    edge = np.interp(-limit, -doubt.binary_entropy(np.linspace(0.5, 1, 100_001)), np.linspace(0.5, 1, 100_001))
    inside = np.abs(logits) < logit(edge)
    np.testing.assert_array_equal(flagged, inside)
    np.testing.assert_array_equal(called ^ flagged, (logits > logit(threshold)) ^ inside)


@pytest.mark.parametrize(("threshold", "moved"), [(0.2, 0.8), (0.7, 0.3)])
def test_swapping_by_entropy_from_the_edge_of_its_interval_is_a_moved_threshold(doubt, scripts, threshold, moved):
    logits = np.linspace(-6, 6, 2001) + 0.0007
    table, calibration = one_finding(scripts, logits, np.zeros(len(logits)), threshold)
    flagged = doubt.Entropy().doubt(table, calibration)[:, 0] > doubt.binary_entropy(threshold)
    called = expit(logits) > threshold
    np.testing.assert_array_equal(called ^ flagged, expit(logits) > moved)


@pytest.mark.parametrize("seed", range(10))
def test_no_alarm_on_entropy_beats_the_best_threshold_where_probability_and_finding_rise_together(doubt, scripts, seed):
    # many samples of few distinct logits, the share of positives rising with the logit, by any law
    rng = np.random.default_rng(seed)
    share = np.sort(rng.integers(0, 101, 12))
    share[-1] = max(share[-1], 1)
    levels = np.sort(rng.normal(0, 2, 12))
    logits = np.repeat(levels, 100)
    label = np.concatenate([np.arange(100) < s for s in share]).astype(float)
    threshold = float(expit(rng.choice(levels)))
    table, calibration = one_finding(scripts, logits, label, threshold)
    called = calibration.predictions(table.logits)[:, 0]
    search = scripts("alarms.threshold_search").exact_threshold
    by_entropy = search(doubt.Entropy().doubt(table, calibration)[:, 0], called, label)
    moved = scripts("alarms.moved_threshold").fit_moved_threshold(expit(logits), label, threshold)[1]
    assert by_entropy.f1_after <= moved.f1_after
