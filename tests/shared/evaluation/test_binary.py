"""Two-class metrics and the ROC band against scikit-learn, on the data and on resamples."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as sk

from shared.evaluation.binary import NAMES, binary_metrics, roc_curve, weighted_binary_metrics, weighted_roc_curve
from shared.evaluation.bootstrap import bootstrap_weights


def sample(n=40, seed=0, digits=1):
    rng = np.random.default_rng(seed)
    positive = rng.random(n) < 0.6
    # rounded, so that scores tie
    return positive, np.round(np.clip(rng.normal(0.35 + 0.3 * positive, 0.25), 0, 1), digits)


def repeated(weights):
    return np.repeat(np.arange(len(weights)), weights.astype(int))


def test_every_resample_equals_sklearn_on_the_drawn_samples():
    positive, scores = sample()
    weights = np.concatenate(list(bootstrap_weights(len(positive), 50, seed=1)))
    fast = weighted_binary_metrics(weights, positive, scores)
    for row, values in zip(weights, fast, strict=True):
        drawn = repeated(row)
        truth, called = positive[drawn], scores[drawn] > 0.5
        slow = [
            sk.recall_score(truth, called),
            sk.recall_score(~truth, ~called),
            sk.accuracy_score(truth, called),
            sk.balanced_accuracy_score(truth, called),
            sk.roc_auc_score(truth, scores[drawn]),
        ]
        np.testing.assert_allclose(values, slow, rtol=1e-12)


def test_metrics_with_intervals_that_hold_the_value():
    positive, scores = sample(200)
    measured = binary_metrics(positive, scores, resamples=200)
    assert tuple(measured) == NAMES
    assert measured["specificity"]["value"] == np.mean(scores[~positive] <= 0.5)
    for entry in measured.values():
        assert entry["ci95"][0] < entry["value"] < entry["ci95"][1]


def test_threshold_moves_sensitivity_and_leaves_the_area():
    positive, scores = sample(100)
    low, high = (binary_metrics(positive, scores, threshold, resamples=20) for threshold in (0.2, 0.8))
    assert low["sensitivity"]["value"] > high["sensitivity"]["value"]
    assert low["specificity"]["value"] < high["specificity"]["value"]
    assert low["roc_auc"]["value"] == high["roc_auc"]["value"]


def test_one_class_leaves_the_other_rate_and_the_area_undefined():
    measured = binary_metrics([1, 1, 1], [0.2, 0.7, 0.9], resamples=20)
    assert measured["sensitivity"]["value"] == pytest.approx(2 / 3)
    assert all(np.isnan(measured[name]["value"]) for name in ("specificity", "balanced_accuracy", "roc_auc"))
    with pytest.raises(ValueError, match="both classes, found 3 positive of 3"):
        roc_curve([1, 1, 1], [0.2, 0.7, 0.9])


def test_curve_of_every_resample_is_sklearns():
    positive, scores = sample()
    weights = np.concatenate(list(bootstrap_weights(len(positive), 30, seed=2)))
    grid = np.linspace(0, 1, 23) + 1e-9  # beside the steps, where both conventions agree
    for row, curve in zip(weights, weighted_roc_curve(weights, positive, scores, grid=grid), strict=True):
        drawn = repeated(row)
        false_rate, true_rate, _ = sk.roc_curve(positive[drawn], scores[drawn], drop_intermediate=False)
        np.testing.assert_allclose(curve, np.interp(grid, false_rate, true_rate), atol=1e-6)


def test_curve_passes_through_the_operating_point_and_lies_in_its_band():
    positive, scores = sample(300, digits=3)
    curve = roc_curve(positive, scores, resamples=200)
    point = curve["operating_point"]
    assert point["true_positive_rate"] == np.mean(scores[positive] > 0.5)
    on_curve = np.interp(point["false_positive_rate"], curve["false_positive_rate"], curve["true_positive_rate"])
    assert on_curve >= point["true_positive_rate"] - 0.02
    band = {name: np.array(values) for name, values in curve["band"].items()}
    inside = np.interp(band["false_positive_rate"], curve["false_positive_rate"], curve["true_positive_rate"])
    assert np.mean((band["low"] - 0.03 <= inside) & (inside <= band["high"] + 0.03)) == 1
    area = np.trapezoid(curve["true_positive_rate"], curve["false_positive_rate"])
    assert area == pytest.approx(sk.roc_auc_score(positive, scores))


def test_perfect_scores_reach_the_corner():
    grid = np.linspace(0, 1, 5)
    curve = weighted_roc_curve(np.ones((1, 4)), np.array([0, 0, 1, 1], bool), np.array([0.1, 0.2, 0.8, 0.9]), grid=grid)
    np.testing.assert_array_equal(curve, np.ones((1, 5)))


@pytest.mark.parametrize(
    ("positive", "scores", "message"),
    [
        ([0, 2], [0.1, 0.2], "0 and 1, found"),
        ([0, 1], [0.1, np.nan], "finite"),
        ([0, 1], [0.1], "shapes"),
        ([], [], "shapes"),
    ],
)
def test_bad_arrays_are_refused(positive, scores, message):
    with pytest.raises(ValueError, match=message):
        binary_metrics(positive, scores)
