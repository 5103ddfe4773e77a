"""Masked multi-label metrics against scikit-learn, on the data and on every resample."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as sk

from shared.evaluation.bootstrap import bootstrap_weights
from shared.evaluation.multi_label import (
    f1_score,
    label_counts,
    mean_of_defined,
    multilabel_metrics,
    sensitivity_score,
    specificity_score,
    weighted_label_auc,
)

CLASSES = ["edema", "effusion", "cardiomegaly"]


def sample(n=60, seed=0):
    rng = np.random.default_rng(seed)
    labels = (rng.random((n, 3)) < [0.3, 0.5, 0.15]).astype(float)
    scores = np.round(rng.normal(labels, 1.0), 1)
    predictions = (scores > 0.5).astype(float)
    labels[rng.random((n, 3)) < 0.25] = np.nan
    return labels, predictions, scores


def test_every_resample_and_method_equals_sklearn_on_the_known_samples():
    labels, predictions, scores = sample()
    methods = np.stack([predictions, 1 - predictions])
    weights = np.concatenate(list(bootstrap_weights(len(labels), 25, seed=1)))
    counts = label_counts(weights, labels, methods)
    found = {"f1": f1_score(counts), "sensitivity": sensitivity_score(counts), "specificity": specificity_score(counts)}
    area = weighted_label_auc(weights, labels, scores)
    for r, row in enumerate(weights):
        drawn = np.repeat(np.arange(len(row)), row.astype(int))
        for k in range(3):
            rows = drawn[~np.isnan(labels[drawn, k])]
            truth = labels[rows, k]
            assert area[r, k] == pytest.approx(sk.roc_auc_score(truth, scores[rows, k]), rel=1e-12)
            for m, method in enumerate(methods):
                called = method[rows, k]
                assert found["f1"][r, m, k] == pytest.approx(sk.f1_score(truth, called), rel=1e-12)
                assert found["sensitivity"][r, m, k] == pytest.approx(sk.recall_score(truth, called), rel=1e-12)
                spared = sk.recall_score(truth, called, pos_label=0)
                assert found["specificity"][r, m, k] == pytest.approx(spared, rel=1e-12)


def test_calls_drawn_at_random_are_counted_in_expectation():
    labels, predictions, _ = sample(2000)
    share = 0.3
    expected = predictions * (1 - share) + (1 - predictions) * share
    ones = np.ones((1, len(labels)))
    counts = label_counts(ones, labels, expected[None])
    rng = np.random.default_rng(0)
    drawn = np.stack([np.abs(predictions - (rng.random(predictions.shape) < share)) for _ in range(300)])
    simulated = label_counts(ones, labels, drawn)
    np.testing.assert_allclose(counts.hits[0, 0], simulated.hits[0].mean(axis=0), rtol=0.01)
    np.testing.assert_allclose(f1_score(counts)[0, 0], f1_score(simulated)[0].mean(axis=0), rtol=0.01)


def test_metrics_with_intervals_and_means_over_what_is_defined():
    labels, predictions, scores = sample(200)
    labels[:, 2] = np.where(np.isnan(labels[:, 2]), np.nan, 0.0)
    measured = multilabel_metrics(labels, predictions, scores, CLASSES, resamples=200, groups=np.arange(200) // 2)
    known = ~np.isnan(labels)
    f1 = [sk.f1_score(labels[known[:, k], k], predictions[known[:, k], k]) for k in range(2)]
    assert measured["macro_f1"]["value"] == pytest.approx(np.mean(f1))
    assert np.isnan(measured["f1_cardiomegaly"]["value"])
    assert np.isnan(measured["roc_auc_cardiomegaly"]["value"])
    assert measured["specificity_cardiomegaly"]["value"] < 1
    entry = measured["sensitivity_edema"]
    assert entry["ci95"][0] < entry["value"] < entry["ci95"][1]
    assert len(measured) == 4 * (1 + 3)


def test_mean_of_defined():
    values = np.array([[1.0, np.nan, 2.0], [np.nan, np.nan, np.nan]])
    np.testing.assert_array_equal(mean_of_defined(values), [1.5, np.nan])


def test_arguments_are_checked():
    labels, predictions, scores = sample()
    with pytest.raises(ValueError, match="predictions must be 0 or 1"):
        multilabel_metrics(labels, predictions + 0.5, scores, CLASSES)
    with pytest.raises(ValueError, match="labels must be"):
        multilabel_metrics(labels + 1, predictions, scores, CLASSES)
    with pytest.raises(ValueError, match="finite"):
        multilabel_metrics(labels, predictions, np.full_like(scores, np.inf), CLASSES)
    with pytest.raises(ValueError, match=r"\(N, 2\)"):
        multilabel_metrics(labels, predictions, scores, CLASSES[:2])
