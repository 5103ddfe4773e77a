import json

import numpy as np
import pytest

from shared.calibration.selective import (
    aurc,
    coverage_at_risk,
    excess_aurc,
    risk_coverage_curve,
    selective_report,
    weighted_aurc,
)
from shared.evaluation.bootstrap import bootstrap_weights, percentile_interval
from tests.oracles import calibration as oracle


def example(n=60, ties=False, seed=0):
    rng = np.random.default_rng(seed)
    confidence = rng.random(n)
    if ties:
        confidence = confidence.round(1)
    return confidence, (rng.random(n) > 0.4 + 0.6 * confidence).astype(float)


@pytest.mark.parametrize("ties", [False, True])
def test_curve_agrees_with_every_threshold_tried(ties):
    confidence, error = example(ties=ties)
    curve = risk_coverage_curve(confidence, error)
    assert curve.threshold.tolist() == sorted(set(confidence), reverse=True)
    for threshold, coverage, risk in zip(*curve, strict=True):
        assert coverage == pytest.approx((confidence >= threshold).mean())
        assert risk == pytest.approx(oracle.risk_at(confidence, error, threshold))


@pytest.mark.parametrize("ties", [False, True])
def test_area_agrees_with_brute_force(ties):
    confidence, error = example(ties=ties)
    assert aurc(confidence, error) == pytest.approx(oracle.aurc(confidence, error))


def test_area_does_not_depend_on_the_order_of_ties():
    confidence, error = example(ties=True)
    order = np.lexsort((error, confidence))
    assert aurc(confidence[order], error[order]) == pytest.approx(aurc(confidence[order[::-1]], error[order[::-1]]))


def test_excess_area_is_measured_from_the_best_order():
    confidence, error = example()
    best = oracle.aurc(np.linspace(1, 0, len(error)), sorted(error))
    assert excess_aurc(confidence, error) == pytest.approx(aurc(confidence, error) - best)
    assert excess_aurc(-np.arange(len(error)), sorted(error)) == pytest.approx(0, abs=1e-12)
    assert excess_aurc(confidence, np.zeros(60)) == pytest.approx(0, abs=1e-12)
    assert excess_aurc(confidence, np.ones(60)) == pytest.approx(0, abs=1e-12)


def test_constant_confidence_gives_the_error_rate():
    _, error = example()
    assert aurc(np.full(60, 0.5), error) == pytest.approx(error.mean())


def test_coverage_at_risk_is_the_largest_that_passes():
    # the risk is 0, 1/2, 1/3, 1/4, 2/5: it falls again after it has risen
    confidence, error = [0.9, 0.8, 0.7, 0.6, 0.5], [0, 1, 0, 0, 1]
    assert coverage_at_risk(confidence, error, 0.25) == pytest.approx(0.8)
    assert coverage_at_risk(confidence, error, 0.2) == pytest.approx(0.2)
    assert coverage_at_risk(confidence, error, 0.4) == 1
    assert coverage_at_risk([0.9, 0.8], [1, 0], 0.1) == 0


def test_report_agrees_with_single_functions_and_is_json():
    confidence, error = example(ties=True)
    report = selective_report(confidence, error, target_risks=(0.1, 0.25), resamples=100)
    json.dumps(report, allow_nan=False)
    assert report["aurc"]["value"] == pytest.approx(aurc(confidence, error))
    assert report["excess_aurc"]["value"] == pytest.approx(excess_aurc(confidence, error))
    assert report["risk_at_full_coverage"]["value"] == pytest.approx(error.mean())
    for entry in report["coverage_at_risk"]:
        assert entry["value"] == pytest.approx(coverage_at_risk(confidence, error, entry["target_risk"]))
    assert report["coverage"][-1] == 1
    assert len(report["risk"]) == len(set(confidence))


def test_resamples_equal_the_functions_on_the_drawn_samples():
    confidence, error = example(n=30, ties=True)
    drawn = [np.repeat(np.arange(30), row.astype(int)) for chunk in bootstrap_weights(30, 40, seed=5) for row in chunk]
    report = selective_report(confidence, error, target_risks=(0.2,), resamples=40, seed=5)
    for name, function in (
        ("aurc", aurc),
        ("excess_aurc", excess_aurc),
        ("risk_at_full_coverage", lambda _, e: e.mean()),
    ):
        interval = percentile_interval(0.0, [function(confidence[rows], error[rows]) for rows in drawn])
        assert report[name]["ci95"] == pytest.approx([interval.low.item(), interval.high.item()]), name
    interval = percentile_interval(0.0, [coverage_at_risk(confidence[rows], error[rows], 0.2) for rows in drawn])
    assert report["coverage_at_risk"][0]["ci95"] == pytest.approx([interval.low.item(), interval.high.item()])


def test_groups_are_resampled_whole():
    confidence, error = example(n=40)
    once = selective_report(confidence, error, resamples=300)
    thrice = selective_report(
        np.tile(confidence, 3), np.tile(error, 3), groups=np.tile(np.arange(40), 3), resamples=300
    )
    assert thrice["aurc"]["ci95"] == pytest.approx(once["aurc"]["ci95"])


def test_long_curves_are_thinned_with_both_ends_kept():
    confidence, error = example(n=3000)
    report = selective_report(confidence, error, resamples=2, max_points=50)
    assert len(report["coverage"]) == len(report["risk"]) == len(report["threshold"]) == 50
    assert report["coverage"][0] == pytest.approx(1 / 3000)
    assert report["coverage"][-1] == 1


@pytest.mark.parametrize(
    ("confidence", "error", "message"),
    [
        ([], [], "one shape"),
        ([0.5], [0, 1], "one shape"),
        ([np.nan], [0], "finite"),
        ([0.5], [0.3], "0 or 1, found 0.3"),
    ],
)
def test_bad_input_is_answered_clearly(confidence, error, message):
    with pytest.raises(ValueError, match=message):
        risk_coverage_curve(confidence, error)


def test_weighted_area_is_that_of_the_repeated_samples():
    rng = np.random.default_rng(3)
    confidence, error = rng.random(40).round(1), (rng.random(40) < 0.3).astype(float)
    weights = rng.integers(0, 4, size=(15, 40)).astype(float)
    for row, area in zip(weights, weighted_aurc(weights, confidence, error), strict=True):
        drawn = np.repeat(np.arange(40), row.astype(int))
        assert area == pytest.approx(aurc(confidence[drawn], error[drawn]), rel=1e-12)
