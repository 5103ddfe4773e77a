from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from tests.bundles.lymphocytosis_moe.rivals.concept_bags import CONCEPT, concept_bags
from tests.oracles.multiple_instance import miles_embedding, one_norm_objective


@pytest.fixture(scope="module")
def miles(bundle_scripts):
    return bundle_scripts("lymphocytosis_moe")("rivals.miles")


@pytest.mark.parametrize("chunk", [512, 4])
def test_the_embedding_is_the_papers_equation(miles, monkeypatch, chunk):
    monkeypatch.setattr(miles, "_PROTOTYPES_PER_CHUNK", chunk)
    bags, _, _ = concept_bags(6, noise_features=1)
    instances, lengths = np.concatenate(bags), np.array([len(bag) for bag in bags])
    found = miles.bag_similarities(instances, lengths, instances[:11], 2.5)
    np.testing.assert_allclose(found, miles_embedding(bags, instances[:11], 2.5), atol=1e-12)


def _problem(seed):
    generator = np.random.default_rng(seed)
    positive = np.arange(12) % 3 > 0
    features = generator.normal(size=(12, 3)) + 0.8 * positive[:, None] * [1, 0, 0]
    return features, positive, np.where(positive, 0.3, 0.7)


@pytest.mark.parametrize("seed", range(4))
def test_the_linear_programme_reaches_the_minimum_of_the_objective(miles, seed):
    features, positive, slack_weights = _problem(seed)
    signs = np.where(positive, 1, -1)

    def objective(weights, intercept):
        return one_norm_objective(weights, intercept, features, signs, 0.4, slack_weights)

    weights, intercept = miles.one_norm_svm(features, positive, 0.4, slack_weights)
    reached = objective(weights, intercept)
    # a convex function: no other search may end lower
    searches = [
        minimize(
            lambda x: objective(x[:3], x[3]),
            start,
            method="Nelder-Mead",
            options={"maxiter": 8000, "maxfev": 8000, "xatol": 1e-9, "fatol": 1e-11},
        ).fun
        for start in np.random.default_rng(seed).normal(size=(6, 4))
    ]
    assert reached <= min(searches) + 1e-9
    assert min(searches) == pytest.approx(reached, rel=0.05)


def test_a_strong_penalty_leaves_no_weight(miles):
    features, positive, slack_weights = _problem(0)
    weights, _ = miles.one_norm_svm(features, positive, 100.0, slack_weights)
    np.testing.assert_array_equal(weights, 0)


def test_the_chosen_instances_lie_at_the_concept(miles):
    bags, labels, _ = concept_bags()
    classifier = miles.MILES(bandwidth=0.1).fit(bags, labels)
    assert len(classifier.prototypes_) < 15
    best = classifier.scaler_.inverse_transform(classifier.prototypes_)[classifier.coefficients_.argmax()]
    assert np.hypot(*(best - CONCEPT)) < 0.7
    held_out, expected, _ = concept_bags(seed=1)
    assert classifier.score(held_out, expected) > 0.9
    # dropping the instances without weight changes nothing
    instances, lengths = np.concatenate(bags), np.array([len(bag) for bag in bags])
    standardised = classifier.scaler_.transform(instances)
    embedding = miles.bag_similarities(standardised, lengths, standardised, 0.2)
    slack_weights = np.full(len(bags), 0.5)
    weights, intercept = miles.one_norm_svm(embedding, labels == 1, 0.2, slack_weights)
    np.testing.assert_allclose(classifier.decision_function(bags), embedding @ weights + intercept, atol=1e-6)


def test_the_weight_of_the_positive_class_moves_the_decision(miles):
    bags, labels, _ = concept_bags(noise_features=8)
    light, heavy = (
        miles.MILES(positive_weight=weight, regularisation=1.0).fit(bags, labels).predict(bags).mean()
        for weight in (0.1, 0.9)
    )
    assert light < heavy
    few = [bags[i] for i in [*np.flatnonzero(labels == 0), *np.flatnonzero(labels)[:10]]]
    few_labels = np.repeat([0, 1], [30, 10])
    balanced = miles.MILES(positive_weight=None).fit(few, few_labels).decision_function(few)
    np.testing.assert_allclose(
        balanced, miles.MILES(positive_weight=0.75).fit(few, few_labels).decision_function(few), atol=1e-9
    )
