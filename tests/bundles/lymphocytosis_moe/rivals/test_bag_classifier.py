"""What holds for every multiple-instance classifier."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score

from shared.data.errors import DataError
from tests.bundles.lymphocytosis_moe.rivals.concept_bags import concept_bags

CLASSIFIERS = {
    "MISVM": ("mi_svm", {"C": 10.0}),
    "MILES": ("miles", {"bandwidth": 0.3}),
    "EMDD": ("em_dd", {"starts": 10}),
    "SpecialisingMIL": ("specialising_mil", {"fraction": 0.3}),
}


@pytest.fixture(scope="module")
def load(bundle_scripts):
    return bundle_scripts("lymphocytosis_moe")


@pytest.fixture(params=CLASSIFIERS)
def classifier(request, load):
    module, settings = CLASSIFIERS[request.param]
    return getattr(load(f"rivals.{module}"), request.param)(**settings)


def _linear_bags(number, seed):
    """A concept that a linear instance classifier finds as well: positive instances lie to the right."""
    generator = np.random.default_rng(seed)
    bags, labels = [], np.arange(number) % 2
    for label in labels:
        size = int(generator.integers(4, 12))
        bag = generator.normal(size=(size, 4))
        if label:
            bag[: max(1, size // 2), 0] += 5
        bags.append(generator.permutation(bag))
    return bags, labels


def test_bags_not_seen_are_told_apart(classifier):
    classifier.fit(*_linear_bags(60, 0))
    bags, labels = _linear_bags(60, 1)
    assert classifier.score(bags, labels) > 0.9


def test_score_probability_and_class_agree_and_a_ragged_batch_is_a_list(classifier):
    bags, labels = _linear_bags(40, 0)
    names = np.array(["benign", "malignant"])[labels]
    classifier.fit(bags, names)
    score, probability = classifier.decision_function(bags), classifier.predict_proba(bags)
    np.testing.assert_allclose(probability[:, 1], 1 / (1 + np.exp(-score)))
    np.testing.assert_array_equal(classifier.predict(bags), np.where(score > 0, "malignant", "benign"))
    ragged = np.concatenate(bags), [len(bag) for bag in bags]
    np.testing.assert_array_equal(clone(classifier).fit(ragged, names).decision_function(ragged), score)


def test_units_of_the_features_and_the_order_of_instances_do_not_matter(classifier):
    bags, labels = _linear_bags(40, 0)
    score = clone(classifier).fit(bags, labels).decision_function(bags)
    units = np.array([1e3, 1e-3, 7.0, 1.0])
    scaled = [bag * units + 5 for bag in bags]
    np.testing.assert_allclose(clone(classifier).fit(scaled, labels).decision_function(scaled), score, atol=1e-4)
    fitted = clone(classifier).fit(bags, labels)
    np.testing.assert_allclose(fitted.decision_function([bag[::-1] for bag in bags]), score, atol=1e-9)


def test_scaling_is_learned_from_training_bags_only(classifier):
    bags, labels = _linear_bags(40, 0)
    classifier.fit(bags, labels)
    alone = classifier.decision_function(bags[:1])
    with_others = classifier.decision_function([bags[0], 1e6 * np.ones((5, 4))])
    assert with_others[0] == pytest.approx(alone[0], rel=1e-9)
    np.testing.assert_allclose(classifier.scaler_.mean_, np.concatenate(bags).mean(axis=0))


def test_a_feature_that_does_not_vary_is_harmless(classifier):
    bags, labels = _linear_bags(40, 0)
    constant = [np.hstack([bag, np.full((len(bag), 1), 3.0)]) for bag in bags]
    assert classifier.fit(constant, labels).score(constant, labels) > 0.9


def test_cross_validation_of_scikit_learn_takes_lists_of_bags(load):
    bags, labels, _ = concept_bags()
    machine = load("rivals.mi_svm").MISVM()
    search = GridSearchCV(machine, {"C": [1e-3, 10.0]}, cv=3).fit(bags, labels)
    assert search.best_params_ == {"C": 10.0}
    assert cross_val_score(search.best_estimator_, bags, labels, cv=3).mean() > 0.8


def test_labels_that_do_not_fit_are_refused(classifier):
    bags, _ = _linear_bags(4, 0)
    with pytest.raises(DataError, match="expected two classes"):
        classifier.fit(bags, [1, 1, 1, 1])
    with pytest.raises(DataError, match="3 labels for 4 bags"):
        classifier.fit(bags, [0, 1, 1])
