"""Average precision and the band of the precision–recall curve against scikit-learn, on the data and on resamples."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as sk

from shared.evaluation.bootstrap import bootstrap_weights
from shared.evaluation.precision_recall import (
    average_precision,
    precision_recall_curve,
    weighted_average_precision,
    weighted_precision_curve,
)


def sample(n=40, seed=0, digits=1, share=0.3):
    rng = np.random.default_rng(seed)
    positive = rng.random(n) < share
    # rounded, so that scores tie
    return positive, np.round(np.clip(rng.normal(0.35 + 0.3 * positive, 0.25), 0, 1), digits)


def drawn_samples(weights, *arrays):
    drawn = np.repeat(np.arange(len(weights)), weights.astype(int))
    return [array[drawn] for array in arrays]


def test_every_resample_equals_sklearn_on_the_drawn_samples():
    positive, scores = sample()
    weights = np.concatenate(list(bootstrap_weights(len(positive), 60, seed=1)))
    slow = [sk.average_precision_score(*drawn_samples(row, positive, scores)) for row in weights]
    np.testing.assert_allclose(weighted_average_precision(weights, positive, scores), slow, rtol=1e-12)


def test_precision_at_a_recall_is_that_of_the_first_threshold_that_reaches_it():
    positive, scores = sample(digits=2)
    weights = np.concatenate(list(bootstrap_weights(len(positive), 40, seed=2)))
    grid = np.linspace(0, 1, 21)
    for row, curve in zip(weights, weighted_precision_curve(weights, positive, scores, grid=grid), strict=True):
        truth, values = drawn_samples(row, positive, scores)
        for recall, precision in zip(grid, curve, strict=True):
            # one threshold after the other, from the highest on
            for threshold in sorted(set(values), reverse=True):
                called = values >= threshold
                if called[truth].sum() >= recall * truth.sum() - 1e-9:
                    assert precision == pytest.approx(truth[called].mean())
                    break
            else:
                pytest.fail("no threshold reaches this recall")


def test_curve_is_sklearns_and_its_steps_have_the_area_of_the_average_precision():
    positive, scores = sample(300, digits=3)
    curve = precision_recall_curve(positive, scores, resamples=100)
    precision, recall, _ = sk.precision_recall_curve(positive, scores)
    pairs = set(zip(np.round(recall[:-1], 12), np.round(precision[:-1], 12), strict=True))
    assert set(zip(np.round(curve["recall"][1:], 12), np.round(curve["precision"][1:], 12), strict=True)) == pairs
    assert curve["recall"][0] == 0
    assert curve["recall"][-1] == 1
    area = np.diff(curve["recall"]) @ np.array(curve["precision"][1:])
    measured = average_precision(positive, scores, resamples=100)
    assert area == pytest.approx(sk.average_precision_score(positive, scores)) == measured["value"]
    assert measured["ci95"][0] < measured["value"] < measured["ci95"][1]
    assert curve["prevalence"] == positive.mean()
    called = scores > 0.5
    assert curve["operating_point"]["precision"] == pytest.approx(sk.precision_score(positive, called))
    assert curve["operating_point"]["recall"] == pytest.approx(sk.recall_score(positive, called))


def test_band_holds_the_curve():
    positive, scores = sample(400, digits=3)
    curve = precision_recall_curve(positive, scores, resamples=300)
    grid, low, high = (np.array(curve["band"][name]) for name in ("recall", "low", "high"))
    here = weighted_precision_curve(np.ones((1, 400)), positive, scores, grid=grid)[0]
    assert ((low <= here) & (here <= high)).mean() > 0.97
    assert 0.02 < (high - low)[20:90].mean() < 0.4


def test_without_positives_there_is_no_curve_and_without_calls_no_precision():
    assert np.isnan(average_precision([0, 0], [0.1, 0.2], resamples=5)["value"])
    with pytest.raises(ValueError, match="need positive samples, found none of 2"):
        precision_recall_curve([0, 0], [0.1, 0.2])
    assert precision_recall_curve([0, 1], [0.1, 0.2], resamples=5)["operating_point"]["precision"] is None


def test_constant_scores_have_the_prevalence():
    positive = np.arange(20) < 5
    assert average_precision(positive, np.full(20, 0.3), resamples=20)["value"] == pytest.approx(0.25)
