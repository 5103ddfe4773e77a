from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.svm import SVC

from shared.data.errors import DataError

NAMES = {
    "logistic_regression",
    "logistic_regression_weighted",
    "adaboost",
    "svm",
    "decision_tree",
    "random_forest",
    "gaussian_naive_bayes",
    "gradient_boosting",
}


@pytest.fixture(scope="module")
def module(bundle_scripts):
    return bundle_scripts("lymphocytosis_moe")("rivals.attribute_classifiers")


def _patients(number=120, seed=0):
    generator = np.random.default_rng(seed)
    labels = (np.arange(number) % 3 > 0).astype(int)
    age = np.where(labels, generator.normal(72, 9, number), generator.normal(50, 15, number)).clip(18, 95)
    count = np.exp(np.where(labels, generator.normal(3, 0.8, number), generator.normal(1.8, 0.4, number)))
    return np.column_stack([age, count]), labels


def test_all_classifiers_of_the_paper_learn_and_give_probabilities(module):
    attributes, labels = _patients()
    held_out, truth = _patients(seed=1)
    classifiers = module.attribute_classifiers()
    assert set(classifiers) == NAMES
    for name, classifier in classifiers.items():
        probabilities = classifier.fit(attributes, labels).predict_proba(held_out)
        assert probabilities.shape == (120, 2), name
        np.testing.assert_allclose(probabilities.sum(axis=1), 1, err_msg=name)
        assert np.mean((probabilities[:, 1] > 0.5) == truth) > 0.78, name


def test_logistic_regression_is_that_on_the_standardised_age_and_log_count(module):
    attributes, labels = _patients()
    inputs = np.column_stack([attributes[:, 0], np.log(attributes[:, 1])])
    standardised = (inputs - inputs.mean(axis=0)) / inputs.std(axis=0)
    for name, weight in (("logistic_regression", None), ("logistic_regression_weighted", "balanced")):
        expected = LogisticRegression(class_weight=weight).fit(standardised, labels).predict_proba(standardised)
        fitted = module.attribute_classifiers()[name].fit(attributes, labels)
        np.testing.assert_allclose(fitted.predict_proba(attributes), expected)


def test_the_raw_count_is_used_on_request(module):
    attributes, labels = _patients()
    standardised = (attributes - attributes.mean(axis=0)) / attributes.std(axis=0)
    expected = LogisticRegression().fit(standardised, labels).predict_proba(standardised)
    fitted = module.attribute_classifiers(log_count=False)["logistic_regression"].fit(attributes, labels)
    np.testing.assert_allclose(fitted.predict_proba(attributes), expected)


def test_the_probabilities_of_the_svm_follow_its_decision_values_on_held_out_folds(module):
    """Platt scaling: a sigmoid whose slope and offset come from decision values of patients not trained on."""
    attributes, labels = _patients()
    inputs = np.column_stack([attributes[:, 0], np.log(attributes[:, 1])])
    standardised = (inputs - inputs.mean(axis=0)) / inputs.std(axis=0)
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    held_out = cross_val_predict(SVC(), standardised, labels, cv=folds, method="decision_function")
    # Platt's targets in the place of 0 and 1, by maximum likelihood
    n = labels.sum()
    target = np.where(labels, (n + 1) / (n + 2), 1 / (len(labels) - n + 2))
    sigmoid = LogisticRegression(C=np.inf)
    sigmoid.fit(np.tile(held_out, 2)[:, None], np.repeat([1, 0], len(labels)), np.concatenate([target, 1 - target]))
    expected = sigmoid.predict_proba(SVC().fit(standardised, labels).decision_function(standardised)[:, None])
    fitted = module.attribute_classifiers()["svm"].fit(attributes, labels)
    np.testing.assert_allclose(fitted.predict_proba(attributes), expected, atol=2e-3)


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ([[70.0, 0.0]], "lymphocyte count 0 of patient at position 0"),
        ([[70.0, 5.0], [np.nan, 5.0]], "position 1 are not finite"),
        ([[70.0, 5.0, 1.0]], r"shape \(1, 3\)"),
    ],
)
def test_unusable_attributes_are_refused(module, attributes, message):
    with pytest.raises(DataError, match=message):
        module.attribute_inputs(np.array(attributes))
