"""The shortcut check: numbers of scikit-learn, on data with and without a shortcut."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from shared.calibration.output_collector import CollectedOutputs
from shared.data.errors import DataError
from shared.evaluation.metrics_file import json_ready


@pytest.fixture(scope="module")
def module(bundle_scripts):
    return bundle_scripts("lymphocytosis_moe")("shortcuts")


def patients(n, seed, images_tell=False):
    """Patients whose count tells the class, whose age hardly does, and whose number of images does if told to."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, n)
    sizes = rng.integers(16, 199, n) // (2 if images_tell else 1) + (100 * labels if images_tell else 0)
    counts = np.exp(rng.normal(2 + 1.5 * labels, 1.0))
    ages = rng.normal(60 + 3 * labels, 15)
    return [
        {"id": f"P{i}", "label": int(y), "image": ["x"] * int(size), "age": float(a), "lymphocyte_count": float(c)}
        for i, (y, size, a, c) in enumerate(zip(labels, sizes, ages, counts, strict=True))
    ]


def collected(records, probabilities):
    return CollectedOutputs(records, {"probabilities": np.stack([1 - probabilities, probabilities], axis=1)})


def test_informative_count_is_found_and_the_size_only_where_it_is_informative(module):
    sizes = {}
    for tell in (False, True):
        training, test = patients(150, 0, tell), patients(120, 1, tell)
        checks = module.ShortcutCheck(training, resamples=100)(collected(test, np.full(120, 0.5)))["checks"]
        sizes[tell] = checks["number of images"]["metrics"]["roc_auc"]
        assert checks["lymphocyte count"]["metrics"]["roc_auc"]["value"] > 0.75
    assert sizes[False]["ci95"][0] < 0.5 < sizes[False]["ci95"][1]
    assert sizes[True]["value"] > 0.95


def test_probabilities_are_a_logistic_regression_on_standardised_features(module):
    training, test = patients(80, 2), patients(30, 3)
    both = module.shortcut_probabilities(training, test, ("age", "log_count"))

    def columns(records):
        return np.array([[r["age"], np.log(r["lymphocyte_count"])] for r in records])

    mean, deviation = columns(training).mean(axis=0), columns(training).std(axis=0)
    reference = LogisticRegression().fit((columns(training) - mean) / deviation, [r["label"] for r in training])
    np.testing.assert_allclose(both, reference.predict_proba((columns(test) - mean) / deviation)[:, 1], rtol=1e-6)


def test_model_is_compared_with_each_shortcut_on_the_same_patients(module):
    training, test = patients(150, 0), patients(120, 1)
    labels = np.array([record["label"] for record in test])
    model = np.clip(labels + np.random.default_rng(0).normal(0, 0.1, 120), 0, 1)
    content = module.ShortcutCheck(training, resamples=100)(collected(test, model))
    assert content["n_training"] == 150
    for name, features in module.SHORTCUTS.items():
        alone = module.shortcut_probabilities(training, test, features)
        difference = content["checks"][name]["model_minus_shortcut"]["roc_auc"]
        assert difference["value"] == pytest.approx(roc_auc_score(labels, model) - roc_auc_score(labels, alone))
        assert difference["ci95"][0] > 0
    assert json_ready(content)["checks"].keys() == module.SHORTCUTS.keys()


def test_one_class_or_a_missing_attribute_is_an_error_that_says_what_to_do(module):
    test = patients(10, 1)
    healthy = [record | {"label": 0} for record in test]
    with pytest.raises(DataError, match="section 'training'"):
        module.shortcut_probabilities(healthy, test, ("age",))
    with pytest.raises(DataError, match="P0: has no age"):
        module.shortcut_probabilities([test[0] | {"age": None}, *test[1:]], test, ("age",))
