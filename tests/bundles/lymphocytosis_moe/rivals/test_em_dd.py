from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import check_grad

from tests.bundles.lymphocytosis_moe.rivals.concept_bags import CONCEPT, concept_bags
from tests.oracles import multiple_instance as oracle


@pytest.fixture(scope="module")
def em_dd(bundle_scripts):
    return bundle_scripts("lymphocytosis_moe")("rivals.em_dd")


def _problem(seed, features=5, number=30):
    generator = np.random.default_rng(seed)
    hypothesis = np.concatenate([generator.normal(size=features), generator.uniform(0.1, 0.6, features)])
    return hypothesis, generator.normal(size=(number, features)), np.arange(number) % 2 == 0


@pytest.mark.parametrize("seed", range(3))
def test_the_gradient_is_that_of_finite_differences(em_dd, seed):
    hypothesis, chosen, positive = _problem(seed)
    value = lambda h: em_dd.negative_log_diverse_density(h, chosen, positive)[0]  # noqa: E731
    gradient = lambda h: em_dd.negative_log_diverse_density(h, chosen, positive)[1]  # noqa: E731
    scale = np.abs(gradient(hypothesis)).max()
    assert check_grad(value, gradient, hypothesis) < 1e-5 * scale


def test_the_density_of_the_nearest_instances_is_that_of_the_bags(em_dd):
    bags, labels, _ = concept_bags(10, noise_features=2)
    hypothesis = np.concatenate([CONCEPT, [0.1, -0.2], [0.8, 0.5, 0.3, 0.2]])
    chosen = np.stack([bag[em_dd.scaled_distances(hypothesis, bag).argmin()] for bag in bags])
    found, _ = em_dd.negative_log_diverse_density(hypothesis, chosen, labels == 1)
    assert found == pytest.approx(oracle.negative_log_diverse_density(*np.split(hypothesis, 2), bags, labels))


def test_a_negative_instance_on_the_target_is_finite(em_dd):
    value, gradient = em_dd.negative_log_diverse_density(np.ones(4), np.ones((2, 2)), np.array([True, False]))
    assert value == pytest.approx(-np.log(1e-12), rel=1e-3)
    assert np.isfinite(gradient).all()


def test_the_concept_is_found_and_told_from_features_without_meaning(em_dd):
    bags, labels, _ = concept_bags(noise_features=2)
    classifier = em_dd.EMDD().fit(bags, labels)
    target = classifier.scaler_.inverse_transform(classifier.target_[None])[0]
    assert np.hypot(*(target[:2] - CONCEPT)) < 0.4
    assert np.abs(classifier.scale_[:2]).min() > 3 * np.abs(classifier.scale_[2:]).max()
    held_out, expected, _ = concept_bags(noise_features=2, seed=1)
    assert classifier.score(held_out, expected) > 0.9


def test_the_density_reached_is_that_of_the_training_bags_and_beats_a_search_over_the_plane(em_dd):
    bags, labels, _ = concept_bags(30)
    classifier = em_dd.EMDD().fit(bags, labels)
    standardised = [classifier.scaler_.transform(bag) for bag in bags]
    reached = oracle.negative_log_diverse_density(classifier.target_, classifier.scale_, standardised, labels)
    assert classifier.density_ == pytest.approx(reached)
    axis = np.linspace(-1.5, 1.5, 13)
    searched = min(
        oracle.negative_log_diverse_density((x, y), (scale, scale), standardised, labels)
        for x in axis
        for y in axis
        for scale in (1.0, 2.0, 4.0)
    )
    assert classifier.density_ <= searched


def test_the_probability_is_the_models_own(em_dd):
    bags, labels, _ = concept_bags(20)
    classifier = em_dd.EMDD(starts=3).fit(bags, labels)
    hypothesis = np.concatenate([classifier.target_, classifier.scale_])
    expected = [np.exp(-em_dd.scaled_distances(hypothesis, classifier.scaler_.transform(bag)).min()) for bag in bags]
    np.testing.assert_allclose(classifier.predict_proba(bags)[:, 1], expected, atol=1e-9)


def test_starts_are_instances_of_so_many_positive_bags(em_dd):
    bags, labels, _ = concept_bags()
    instances, lengths = np.concatenate(bags), np.array([len(bag) for bag in bags])
    points = em_dd.EMDD(starting_bags=2, starts=100, seed=3)._starting_points(instances, lengths, labels == 1)
    origin = {i for i, bag in enumerate(bags) for point in points if (bag == point).all(axis=1).any()}
    assert len(origin) == 2
    assert all(labels[i] == 1 for i in origin)
    assert len(points) == sum(lengths[i] for i in origin)
    few = em_dd.EMDD(starting_bags=2, starts=4, seed=3)._starting_points(instances, lengths, labels == 1)
    assert len(few) == 4
