from __future__ import annotations

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.svm import SVC

from tests.bundles.lymphocytosis_moe.rivals.concept_bags import concept_bags


@pytest.fixture(scope="module")
def MISVM(bundle_scripts):  # noqa: N802
    return bundle_scripts("lymphocytosis_moe")("rivals.mi_svm").MISVM


def _split(values, bags):
    return np.split(values, np.cumsum([len(bag) for bag in bags])[:-1])


def test_witnesses_are_the_instances_of_the_concept(MISVM):
    bags, labels, truth = concept_bags()
    machine = MISVM(C=10, gamma=1.0).fit(bags, labels)
    assert len(machine.witnesses_) == labels.sum()
    assert truth[machine.witnesses_].mean() > 0.95
    held_out, expected, _ = concept_bags(seed=1)
    assert machine.score(held_out, expected) > 0.95


@pytest.mark.parametrize("class_weight", [None, "balanced"])
@pytest.mark.parametrize("kernel", ["linear", "rbf"])
@pytest.mark.parametrize("seed", range(3))
def test_from_the_first_choice_of_witnesses_the_objective_never_rises(MISVM, kernel, class_weight, seed):
    bags, labels, _ = concept_bags(noise_features=3, seed=seed)
    machine = MISVM(kernel=kernel, class_weight=class_weight).fit(bags, labels)
    objectives = np.array(machine.objectives_[1:])
    assert len(objectives) >= 2
    assert (np.diff(objectives) <= 1e-4 * objectives[:-1]).all()


def test_the_fit_is_a_fixed_point_of_andrews_equation(MISVM):
    """The machine is that on its own witnesses, each the best instance of its bag; its objective is the primal one."""
    bags, labels, truth = concept_bags(noise_features=3)
    # along the first feature the concept lies to the right of everything
    bags = [bag + 4 * mark[:, None] * np.eye(5)[0] for bag, mark in zip(bags, _split(truth, bags), strict=True)]
    machine = MISVM(kernel="linear", C=0.5).fit(bags, labels)
    instances = (np.concatenate(bags) - np.concatenate(bags).mean(axis=0)) / np.concatenate(bags).std(axis=0)
    bag = np.repeat(np.arange(len(bags)), [len(b) for b in bags])
    negative = instances[labels[bag] == 0]
    training = np.concatenate([instances[machine.witnesses_], negative])
    target = np.array([1] * len(machine.witnesses_) + [-1] * len(negative))
    again = SVC(kernel="linear", C=0.5, tol=1e-4).fit(training, target)
    decision = again.decision_function(instances)
    expected = [np.flatnonzero(bag == b)[decision[bag == b].argmax()] for b in np.flatnonzero(labels)]
    np.testing.assert_array_equal(machine.witnesses_, expected)
    np.testing.assert_allclose(machine.decision_function(bags), [part.max() for part in _split(decision, bags)])
    weights = again.coef_[0]
    hinge = np.maximum(0, 1 - target * again.decision_function(training)).sum()
    assert machine.objectives_[-1] == pytest.approx(weights @ weights / 2 + 0.5 * hinge)


def test_weights_of_the_classes_make_up_for_many_negative_instances(MISVM):
    bags, labels, _ = concept_bags()
    bags += [np.random.default_rng(5).uniform(-4, 4, (600, 2)) @ np.diag([1, 0]) - [0, 4]]
    labels = np.append(labels, 0)
    plain, weighted = (MISVM(C=0.02, class_weight=w).fit(bags, labels).predict(bags) for w in (None, "balanced"))
    assert plain[labels == 1].mean() < 0.2 < 0.8 < weighted[labels == 1].mean()


def test_reaching_the_largest_number_of_choices_is_said(MISVM):
    bags, labels, _ = concept_bags()
    with pytest.warns(ConvergenceWarning, match="after 1 choices"):
        MISVM(max_iterations=1).fit(bags, labels)
