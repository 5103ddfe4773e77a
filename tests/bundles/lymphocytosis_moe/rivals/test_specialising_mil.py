from __future__ import annotations

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression


@pytest.fixture(scope="module")
def module(bundle_scripts):
    return bundle_scripts("lymphocytosis_moe")("rivals.specialising_mil")


def _fraction_bags(share_negative, share_positive, number=60, seed=0, distance=3.0):
    """Both classes have abnormal instances, to the right; their share makes the class."""
    generator = np.random.default_rng(seed)
    bags, labels = [], np.arange(number) % 2
    for label in labels:
        size = int(generator.integers(20, 40))
        abnormal = np.arange(size) < round((share_positive if label else share_negative) * size)
        bag = generator.normal(size=(size, 3))
        bag[:, 0] += distance * abnormal
        bags.append(generator.permutation(bag))
    return bags, labels


def _slow_fit(bags, labels, fraction):
    """The three steps of the docstring, bag by bag, with a solver of another kind."""
    instances = np.concatenate(bags)
    scaled = [(bag - instances.mean(axis=0)) / instances.std(axis=0) for bag in bags]
    marks = [np.full(len(bag), bool(label)) for bag, label in zip(bags, labels, strict=True)]
    while True:
        classifier = LogisticRegression(tol=1e-10, max_iter=10000).fit(np.concatenate(scaled), np.concatenate(marks))
        fresh = []
        for bag, label in zip(scaled, labels, strict=True):
            scores = classifier.decision_function(bag)
            mark = scores > 0
            mark[np.argsort(-scores)[: int(np.ceil(round(fraction * len(bag), 9)))]] = True
            fresh.append(mark & bool(label))
        if all((a == b).all() for a, b in zip(fresh, marks, strict=True)):
            return classifier, scaled, np.concatenate(marks)
        marks = fresh


@pytest.mark.parametrize("fraction", [0.05, 0.3, 1.0])
def test_the_fit_is_that_of_the_three_steps_bag_by_bag(module, fraction):
    bags, labels = _fraction_bags(0.0, 0.4)
    found = module.SpecialisingMIL(fraction=fraction).fit(bags, labels)
    classifier, scaled, marks = _slow_fit(bags, labels, fraction)
    np.testing.assert_array_equal(found.instance_labels_, marks)
    np.testing.assert_allclose(found.classifier_.coef_, classifier.coef_, rtol=1e-3, atol=1e-4)
    expected = [
        sorted(classifier.decision_function(bag))[-int(np.ceil(round(fraction * len(bag), 9)))] for bag in scaled
    ]
    np.testing.assert_allclose(found.decision_function(bags), expected, rtol=1e-3, atol=1e-3)


def test_instances_of_the_concept_come_to_be_the_positive_ones(module):
    bags, labels = _fraction_bags(0.0, 0.4, distance=6.0)
    found = module.SpecialisingMIL(fraction=0.3).fit(bags, labels)
    abnormal = np.concatenate(bags)[:, 0] > 3
    assert (found.instance_labels_ == abnormal).mean() > 0.98
    negative = np.repeat(labels == 0, [len(bag) for bag in bags])
    assert not found.instance_labels_[negative].any()


def test_a_share_of_abnormal_instances_is_told_where_a_single_one_says_nothing(module):
    """Negative bags hold abnormal instances too: the rule of MI-SVM cannot tell, a tuned fraction can."""
    bags, labels = _fraction_bags(0.05, 0.8, distance=5.0)
    held_out, expected = _fraction_bags(0.05, 0.8, seed=1, distance=5.0)
    single = module.SpecialisingMIL(fraction=0.01).fit(bags, labels).score(held_out, expected)
    tuned = module.SpecialisingMIL().fit(bags, labels)
    assert single < 0.7
    assert tuned.score(held_out, expected) > 0.95
    assert 0.05 < tuned.fraction_ < 0.8


def test_the_fraction_is_tuned_on_the_folds_of_the_training_bags(module, monkeypatch):
    bags, labels = _fraction_bags(0.15, 0.6, number=30)
    seen = {}
    original = module.choose_fraction
    monkeypatch.setattr(module, "choose_fraction", lambda f, a: seen.update(fractions=f, accuracy=a) or original(f, a))
    found = module.SpecialisingMIL(fractions=(0.1, 0.4, 0.8), seed=2).fit(bags, labels)
    folds = module.StratifiedKFold(3, shuffle=True, random_state=2)
    instances = np.concatenate(bags)
    scaled = [(bag - instances.mean(axis=0)) / instances.std(axis=0) for bag in bags]
    for row, (training, held_out) in zip(seen["accuracy"], folds.split(bags, labels), strict=True):
        for value, fraction in zip(row, (0.1, 0.4, 0.8), strict=True):
            # the scaling is that of all training bags of the outer fit, so that the inner ones must not scale anew
            inner = module.SpecialisingMIL(fraction=fraction)
            inner.fraction_ = fraction
            lengths = np.array([len(bag) for bag in bags])
            inner.classifier_, _ = inner._specialise(
                np.concatenate([scaled[i] for i in training]), lengths[training], labels[training] == 1, fraction
            )
            scores = inner._decide(np.concatenate([scaled[i] for i in held_out]), lengths[held_out])
            assert value == ((scores > 0) == labels[held_out]).mean()
    assert found.fraction_ == original((0.1, 0.4, 0.8), seen["accuracy"])


def test_ties_go_to_the_higher_mean_then_to_the_smaller_fraction(module):
    assert module.choose_fraction([0.1, 0.2], np.array([[0.9, 0.5], [0.6, 0.7]])) == 0.1
    assert module.choose_fraction([0.1, 0.2], np.array([[0.9, 0.8], [0.5, 0.7]])) == 0.2
    assert module.choose_fraction([0.1, 0.2], np.array([[0.8, 0.8], [0.7, 0.7]])) == 0.1


@pytest.mark.parametrize("fraction", [0.0, 1.2])
def test_an_impossible_fraction_is_refused(module, fraction):
    bags, labels = _fraction_bags(0.0, 0.4, number=4)
    with pytest.raises(ValueError, match="above 0 and at most 1"):
        module.SpecialisingMIL(fraction=fraction).fit(bags, labels)


def test_reaching_the_largest_number_of_fits_is_said(module):
    bags, labels = _fraction_bags(0.0, 0.4)
    with pytest.warns(ConvergenceWarning, match="after 1 fits"):
        module.SpecialisingMIL(fraction=0.3, max_iterations=1).fit(bags, labels)
