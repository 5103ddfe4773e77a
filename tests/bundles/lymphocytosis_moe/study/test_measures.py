"""The measures of predictions against the confusion matrix and slow counts."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit
from sklearn.metrics import balanced_accuracy_score, confusion_matrix, roc_auc_score

P = 60


@pytest.fixture
def meter(study, labels):
    return study("measures").Meter(labels, n_bins=10, resamples=300)


def probabilities_of(labels, repeats=2, seed=0, extra=()):
    rng = np.random.default_rng(seed)
    drawn = rng.normal(size=(repeats, len(labels), *extra))
    return expit(1.5 * drawn + 1.2 * (2 * labels - 1).reshape(1, -1, *[1] * len(extra)))


def slow_metrics(truth, scores):
    """Sensitivity, specificity, accuracy, balanced accuracy, area, from the confusion matrix."""
    ((tn, fp), (fn, tp)) = confusion_matrix(truth, scores > 0.5)
    sensitivity, specificity = tp / (tp + fn), tn / (tn + fp)
    balanced = (sensitivity + specificity) / 2
    return [sensitivity, specificity, (tp + tn) / len(truth), balanced, roc_auc_score(truth, scores)]


def test_metrics_are_means_over_repeats_of_pooled_predictions(meter, labels):
    probabilities = probabilities_of(labels)
    measured = meter.classification(probabilities)
    expected = np.array([slow_metrics(labels, scores) for scores in probabilities])
    assert [estimate.value for estimate in measured.values()] == pytest.approx(expected.mean(axis=0))
    assert measured["roc_auc"].repeat_sd == pytest.approx(expected[:, 4].std(ddof=1))
    assert measured["roc_auc"].low < measured["roc_auc"].value < measured["roc_auc"].high
    # stratified: a resample has as many patients of each class, so that accuracy follows from the two rates
    sensitive, special, accurate = (measured[name] for name in ("sensitivity", "specificity", "accuracy"))
    assert accurate.value == pytest.approx((40 * sensitive.value + 20 * special.value) / 60)
    called = probabilities > 0.7
    expected_at = np.mean([balanced_accuracy_score(labels, row) for row in called])
    assert meter.at_threshold(called).value == pytest.approx(expected_at)


def test_a_difference_is_paired(meter, labels):
    probabilities, other = probabilities_of(labels), probabilities_of(labels, seed=1)
    same = meter.difference(probabilities, probabilities)
    assert all((e.value, e.low, e.high) == (0, 0, 0) for e in same.values())
    measured = meter.difference(probabilities, other)
    area = [roc_auc_score(labels, a) - roc_auc_score(labels, b) for a, b in zip(probabilities, other, strict=True)]
    assert measured["roc_auc"].value == pytest.approx(np.mean(area))
    alone = meter.classification(probabilities)["roc_auc"]
    # a shared change of the patients cancels: shifting a few by a little moves less than other patients would
    close = meter.difference(expit(np.log(probabilities / (1 - probabilities)) + 0.05), probabilities)["roc_auc"]
    assert close.high - close.low < 0.2 * (alone.high - alone.low)


def test_agreement_counts_sets_of_patients(meter, labels):
    sets = probabilities_of(labels, extra=(5,))
    sets[:, 7] = np.nan  # a patient with fewer cells than sets
    measured = meter.agreement(sets)
    kept = np.flatnonzero(np.arange(P) != 7)
    patients, minority = [], []
    for repeat in sets:
        votes = [(repeat[p] > 0.5).sum() for p in kept]
        patients.append(np.mean([0 < v < 5 for v in votes]))
        minority.append(np.mean([min(v, 5 - v) / 5 for v in votes]))
    assert measured["patients_with_disagreement"].value == pytest.approx(np.mean(patients))
    assert measured["sets_against_majority"].value == pytest.approx(np.mean(minority))
    assert measured["set_accuracy"].n == P - 1
    steady = np.repeat(sets[..., :1], 5, axis=-1)
    difference = meter.agreement_difference(steady, sets)["patients_with_disagreement"]
    assert difference.value == pytest.approx(-np.mean(patients))


def test_accuracy_by_cells_is_a_mean_over_draws(meter, labels):
    fewer = probabilities_of(labels, extra=(2, 3))
    rows = meter.by_cells(fewer, [1, 10])
    assert [size for size, _ in rows] == [1, 10]
    for index, (_, measured) in enumerate(rows):
        drawn = [slow_metrics(labels, fewer[s, :, index, d]) for s in range(2) for d in range(3)]
        expected = np.mean(drawn, axis=0)[[2, 3, 4]]
        assert [measured[n].value for n in ("accuracy", "balanced_accuracy", "roc_auc")] == pytest.approx(expected)
