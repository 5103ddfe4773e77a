"""Accuracy against the number of cells: by scikit-learn draw by draw, and on patients of whom the answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as sk


@pytest.fixture(scope="module")
def module(bundle_scripts):
    return bundle_scripts("lymphocytosis_moe")("cell_numbers")


def test_subsets_have_the_sizes_without_repetition(module):
    drawn = module.random_subsets(10, [1, 4, 50], 3, np.random.default_rng(0))
    assert [len(subset) for subset in drawn] == [1] * 3 + [4] * 3 + [10] * 3
    assert all(len(set(subset.tolist())) == len(subset) for subset in drawn)
    assert sorted(drawn[-1]) == list(range(10))
    assert not np.array_equal(np.sort(drawn[3]), np.sort(drawn[4]))


def test_measures_are_scikit_learns_averaged_over_draws(module):
    rng = np.random.default_rng(0)
    labels = np.r_[np.zeros(10, int), np.ones(15, int)]
    probabilities = np.clip(0.5 + 0.2 * (labels - 0.5) + rng.normal(0, 0.2, (2, 6, 25)), 0, 1)
    rows = module.accuracy_by_cells(probabilities, labels, [1, 8], resamples=100)
    assert [row["cells"] for row in rows] == [1, 8]
    for row, draws in zip(rows, probabilities, strict=True):
        assert row["accuracy"]["value"] == pytest.approx(np.mean([(p > 0.5) == labels for p in draws]))
        balanced = np.mean([sk.balanced_accuracy_score(labels, p > 0.5) for p in draws])
        assert row["balanced_accuracy"]["value"] == pytest.approx(balanced)
        assert row["roc_auc"]["value"] == pytest.approx(np.mean([sk.roc_auc_score(labels, p) for p in draws]))
        assert row["roc_auc"]["ci95"][0] < row["roc_auc"]["value"] < row["roc_auc"]["ci95"][1]


def test_more_cells_of_noisy_patients_are_more_accurate(module):
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 2, 40)
    cells = rng.normal(labels[:, None] - 0.5, 2.0, (40, 100))
    sizes = [1, 5, 25, 100]
    probabilities = np.zeros((4, 10, 40))
    for patient in range(40):
        subsets = module.random_subsets(100, sizes, 10, rng)
        means = [cells[patient, subset].mean() for subset in subsets]
        probabilities[..., patient] = 1 / (1 + np.exp(-np.reshape(means, (4, 10))))
    values = [row["accuracy"]["value"] for row in module.accuracy_by_cells(probabilities, labels, sizes, resamples=20)]
    assert values == sorted(values)
    assert values[0] < 0.7
    assert values[-1] > 0.9


def test_shapes_that_do_not_fit_are_refused(module):
    with pytest.raises(ValueError, match="expected probabilities"):
        module.accuracy_by_cells(np.zeros((2, 3, 4)), np.zeros(4), [1])
