"""Classification metrics against scikit-learn, on the data and on every resample."""

from __future__ import annotations

import time
import warnings

import numpy as np
import pytest
from sklearn import metrics as sk

from shared.evaluation.bootstrap import bootstrap_weights
from shared.evaluation.classification import (
    classification_metrics,
    metric_names,
    weighted_confusion,
    weighted_metrics,
    weighted_roc_auc,
)

CLASSES = ["a", "b", "c"]


def sample(n=60, k=3, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, k, n)
    logits = rng.normal(size=(n, k)) + 1.2 * np.eye(k)[labels]
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    # rounded, so that scores tie
    return labels, probabilities.argmax(1), np.round(probabilities, 1)


def by_sklearn(labels, predictions, probabilities, k=3):
    """Every metric by its own scikit-learn function, in the order of metric_names."""
    everything = {"labels": range(k), "average": None, "zero_division": np.nan}
    recall = sk.recall_score(labels, predictions, **everything)
    f1 = sk.f1_score(labels, predictions, **everything)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        values = [sk.accuracy_score(labels, predictions), sk.balanced_accuracy_score(labels, predictions)]
    values.append(sk.f1_score(labels, predictions, labels=range(k), average="macro", zero_division=np.nan))
    values += [*f1, *recall]
    values += [sk.recall_score(labels != c, predictions != c, zero_division=np.nan) for c in range(k)]
    values += [*sk.precision_score(labels, predictions, **everything)]
    areas = [
        sk.roc_auc_score(labels == c, probabilities[:, c]) if len(np.unique(labels == c)) == 2 else np.nan
        for c in range(k)
    ]
    return np.array([*values, np.nanmean(areas), *areas])


@pytest.mark.parametrize("n", [6, 12, 60])
def test_every_resample_equals_sklearn_on_the_drawn_samples(n):
    labels, predictions, probabilities = sample(n)
    weights = np.concatenate(list(bootstrap_weights(n, 60, seed=1)))
    weights = weights[[len(np.unique(labels[row > 0])) > 1 for row in weights]]
    fast = weighted_metrics(weights, labels, predictions, probabilities, num_classes=3)
    for row, values in zip(weights, fast, strict=True):
        drawn = np.repeat(np.arange(n), row.astype(int))
        slow = by_sklearn(labels[drawn], predictions[drawn], probabilities[drawn])
        np.testing.assert_allclose(values, slow, atol=1e-12)
    # the small case must have met classes that were not drawn
    assert np.isnan(fast).any() == (n < 60)


def test_values_are_sklearns_and_lie_in_their_intervals():
    labels, predictions, probabilities = sample(200)
    found = classification_metrics(labels, predictions, CLASSES, probabilities, seed=3)
    assert list(found) == metric_names(CLASSES)
    values = np.array([entry["value"] for entry in found.values()])
    np.testing.assert_allclose(values, by_sklearn(labels, predictions, probabilities), atol=1e-12)
    own = weighted_metrics(np.ones((1, 200)), labels, predictions, probabilities, num_classes=3)[0]
    np.testing.assert_allclose(values, own, atol=1e-12)
    for entry in found.values():
        assert entry["ci95"][0] < entry["value"] < entry["ci95"][1]


def test_interval_of_accuracy_is_the_binomial_one():
    labels, predictions, _ = sample(400, seed=5)
    entry = classification_metrics(labels, predictions, CLASSES, resamples=4000)["accuracy"]
    half = 1.96 * np.sqrt(entry["value"] * (1 - entry["value"]) / 400)
    assert entry["ci95"] == pytest.approx([entry["value"] - half, entry["value"] + half], abs=0.1 * half)


def test_groups_widen_the_interval():
    labels, predictions, _ = (np.repeat(part, 30, axis=0) for part in sample(20, seed=2))
    groups = np.repeat(np.arange(20), 30)
    plain = classification_metrics(labels, predictions, CLASSES)["accuracy"]["ci95"]
    clustered = classification_metrics(labels, predictions, CLASSES, groups=groups)["accuracy"]["ci95"]
    assert clustered[1] - clustered[0] > 3 * (plain[1] - plain[0])


def test_absent_class_is_not_measured_and_not_zero():
    labels, predictions = np.array([0, 1, 0, 1]), np.array([0, 1, 1, 1])
    probabilities = np.eye(3)[predictions]
    found = classification_metrics(labels, predictions, CLASSES, probabilities)
    for name in ("f1_c", "sensitivity_c", "precision_c", "roc_auc_c"):
        assert np.isnan(found[name]["value"])
        assert np.isnan(found[name]["ci95"]).all()
    assert found["specificity_c"]["value"] == 1.0
    assert found["macro_f1"]["value"] == pytest.approx((2 / 3 + 4 / 5) / 2)
    assert found["macro_roc_auc"]["value"] == pytest.approx(0.75)


def test_confusion_matrix():
    labels, predictions, _ = sample(50)
    weights = np.arange(50.0)[None]
    expected = sk.confusion_matrix(labels, predictions, sample_weight=weights[0])
    np.testing.assert_allclose(weighted_confusion(weights, labels, predictions, 3)[0], expected)


def test_roc_auc_with_ties_and_fractional_weights():
    rng = np.random.default_rng(1)
    scores, positive = rng.integers(0, 5, 40).astype(float), rng.random(40) < 0.4
    weights = rng.random((5, 40))
    expected = [sk.roc_auc_score(positive, scores, sample_weight=row) for row in weights]
    np.testing.assert_allclose(weighted_roc_auc(weights, scores, positive), expected, atol=1e-12)
    assert weighted_roc_auc(np.ones((1, 40)), np.zeros(40), positive)[0] == 0.5
    assert np.isnan(weighted_roc_auc(np.ones((1, 40)), scores, np.zeros(40, dtype=bool))[0])


@pytest.mark.parametrize(
    ("labels", "predictions", "probabilities", "message"),
    [
        ([0, 3], [0, 1], None, "labels must be class indices from 0 to 2, found 0 to 3"),
        ([0, 1], [0, -1], None, "predictions must be class indices from 0 to 2, found -1 to 0"),
        ([0.0, 1.0], [0, 1], None, "labels must be class indices"),
        ([0, 1], [0, 1, 1], None, "2 labels and 3 predictions"),
        ([0, 1], [0, 1], np.ones((2, 2)), "shape"),
        ([0, 1], [0, 1], np.full((2, 3), np.nan), "6 values that are not finite"),
    ],
)
def test_bad_input(labels, predictions, probabilities, message):
    with pytest.raises(ValueError, match=message):
        classification_metrics(labels, predictions, CLASSES, probabilities)
    with pytest.raises(ValueError, match="found none"):
        classification_metrics(np.zeros(0, dtype=int), np.zeros(0, dtype=int), CLASSES)


def test_a_thousand_resamples_of_two_thousand_are_quick():
    labels, predictions, probabilities = sample(2000, 4)
    start = time.process_time()
    classification_metrics(labels, predictions, [*CLASSES, "d"])
    counts = time.process_time() - start
    classification_metrics(labels, predictions, [*CLASSES, "d"], probabilities)
    assert counts < 1.0
    assert time.process_time() - start < 5.0
