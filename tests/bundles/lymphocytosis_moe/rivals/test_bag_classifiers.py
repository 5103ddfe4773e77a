from __future__ import annotations

import numpy as np
import pytest
from sklearn.model_selection import StratifiedKFold, cross_val_score

from tests.bundles.lymphocytosis_moe.rivals.concept_bags import concept_bags


@pytest.fixture(scope="module")
def load(bundle_scripts):
    return bundle_scripts("lymphocytosis_moe")


def test_each_tells_the_bags_apart_that_its_assumption_holds_for(load):
    bags, labels, _ = concept_bags(40, share=0.5)
    # shifted, so that a linear instance classifier can tell as well
    bags = [np.column_stack([bag, np.hypot(*(bag - [2.0, -1.0]).T) < 1]) for bag in bags]
    for name, classifier in load("rivals.bag_classifiers").bag_classifiers().items():
        probability = classifier.fit(bags, labels).predict_proba(bags)[:, 1]
        assert np.mean((probability > 0.5) == labels) > 0.9, name


def test_what_is_chosen_is_best_on_the_inner_folds(load):
    bags, labels, _ = concept_bags(40, noise_features=4)
    classifier = load("rivals.bag_classifiers").bag_classifiers(folds=3, seed=1)["mi_svm"].fit(bags, labels)
    folds = StratifiedKFold(3, shuffle=True, random_state=1)
    mean = {
        (C, weight): cross_val_score(
            load("rivals.mi_svm").MISVM(C=C, class_weight=weight), bags, labels, scoring="roc_auc", cv=folds
        ).mean()
        for C in (0.1, 1.0, 10.0)
        for weight in (None, "balanced")
    }
    assert len({round(value, 6) for value in mean.values()}) > 1
    chosen = classifier.best_params_["C"], classifier.best_params_["class_weight"]
    assert mean[chosen] == pytest.approx(max(mean.values()))
