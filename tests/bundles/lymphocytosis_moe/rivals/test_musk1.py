"""The multiple-instance classifiers reach what has been published for them on MUSK1, as far as one repeat can tell."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(__file__).resolve().parents[5] / "shared" / "data" / "mil_classic"
# published mean accuracy of 10-fold cross-validation; one repeat of 92 bags has a standard error of some 0.04
PUBLISHED = {
    "mi_svm.MISVM": 0.779,  # Andrews et al. 2003
    "miles.MILES": 0.863,  # Chen et al. 2006
    "em_dd.EMDD": 0.848,  # Andrews et al. 2003, of Zhang and Goldman's method
    "specialising_mil.SpecialisingMIL": 0.779,  # that of MI-SVM, which it generalises
}
# one shape is enough for the smell of musk: nearly the rule of MI-SVM, without choosing the fraction anew in each fold
ARGUMENTS = {"specialising_mil.SpecialisingMIL": {"fraction": 0.1}}


@pytest.fixture(scope="module")
def musk1():
    if not (FOLDER / "musk1.npz").is_file():
        pytest.skip("MUSK1 is not at hand")
    with np.load(FOLDER / "musk1.npz") as data, np.load(FOLDER / "musk1_folds.npz") as folds:
        bags = [data["X"][data["bag"] == bag] for bag in range(len(data["y"]))]
        return bags, data["y"].astype(int), folds["train"][0]


@pytest.mark.parametrize("name", PUBLISHED)
def test_mean_accuracy_is_near_the_published_one(bundle_scripts, musk1, name):
    module, class_name = name.split(".")
    make = getattr(bundle_scripts("lymphocytosis_moe")(f"rivals.{module}"), class_name)
    bags, labels, folds = musk1
    accuracy = []
    for training in folds:
        classifier = make(**ARGUMENTS.get(name, {})).fit([bags[i] for i in np.flatnonzero(training)], labels[training])
        accuracy.append(classifier.score([bags[i] for i in np.flatnonzero(~training)], labels[~training]))
    assert np.mean(accuracy) > PUBLISHED[name] - 0.08
