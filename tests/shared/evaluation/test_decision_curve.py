"""Net benefit against its definition counted sample by sample, and what is known of the curve."""

from __future__ import annotations

import numpy as np
import pytest

from shared.evaluation.bootstrap import bootstrap_weights
from shared.evaluation.decision_curve import decision_curve, net_benefit, weighted_net_benefit


def sample(n=80, seed=0):
    rng = np.random.default_rng(seed)
    probability = rng.random(n).round(2)
    return rng.random(n) < probability, probability


def test_every_resample_equals_the_definition():
    positive, probability = sample()
    thresholds = np.array([0.0, 0.1, 0.35, 0.9])
    weights = np.concatenate(list(bootstrap_weights(80, 10, seed=2)))
    for row, values in zip(
        weights, weighted_net_benefit(weights, positive, probability, thresholds=thresholds), strict=True
    ):
        drawn = np.repeat(np.arange(80), row.astype(int))
        for p, value in zip(thresholds, values, strict=True):
            worth = sum((1.0 if positive[i] else -p / (1 - p)) for i in drawn if probability[i] > p)
            assert value == pytest.approx(worth / 80, abs=1e-12)


def test_calibrated_probabilities_are_never_worth_less_than_all_or_none():
    positive, probability = sample(20_000)
    curve = decision_curve(positive, probability, resamples=20)
    worth = np.array(curve["net_benefit"])
    assert np.all(worth > np.maximum(curve["treat_all"], 0) - 0.005)
    middle = curve["threshold"].index(0.5)
    # with p uniform: ∫_½^1 p − (1 − p) dp = ¼
    assert worth[middle] == pytest.approx(0.25, abs=0.01)
    assert curve["low"][middle] < worth[middle] < curve["high"][middle]


def test_unknown_labels_are_left_out():
    positive, probability = sample()
    labels = positive.astype(float)
    masked = np.concatenate([labels, [np.nan] * 5])
    more = decision_curve(masked, np.append(probability, np.ones(5)), [0.2], resamples=10, groups=np.arange(85) // 2)
    assert more["net_benefit"] == decision_curve(labels, probability, [0.2], resamples=10)["net_benefit"]
    assert more["n"] == 80
    assert more["prevalence"] == positive.mean()


def test_arguments_are_checked():
    with pytest.raises(ValueError, match="threshold"):
        net_benefit(1, 1, 10, 1.0)
    with pytest.raises(ValueError, match="not logits"):
        decision_curve([0, 1], [0.2, 3.0])
    with pytest.raises(ValueError, match="known"):
        decision_curve([np.nan], [0.2])
