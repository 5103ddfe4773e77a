"""Areas within parts against scikit-learn, part by part."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score


@pytest.fixture(scope="module")
def areas(scripts):
    return scripts("study.areas")


def images(seed=0, n=90, parts=3):
    rng = np.random.default_rng(seed)
    labels = (rng.random((n, 2)) < 0.4).astype(float)
    labels[rng.random((n, 2)) < 0.1] = np.nan
    part = np.repeat(np.arange(parts), n // parts)
    # another network, another scale: pooled, these scores would be worth less
    scores = labels.copy()
    scores[np.isnan(scores)] = 0
    return labels, scores + rng.normal(size=(n, 2)) + 10 * part[:, None], part


def by_hand(labels, scores, part, weights):
    means = []
    for column in range(labels.shape[1]):
        known = [(part == number) & ~np.isnan(labels[:, column]) for number in np.unique(part)]
        each = [roc_auc_score(labels[k, column], scores[k, column], sample_weight=weights[k]) for k in known]
        means.append(np.mean(each))
    return [*means, np.mean(means)]


def test_scores_of_different_networks_are_not_compared(areas):
    labels, scores, part = images()
    weights = np.stack([np.ones(90), np.random.default_rng(1).integers(0, 4, 90)]).astype(float)
    found = areas.areas_within_parts(weights, labels, scores, part)
    for row, weight in zip(found, weights, strict=True):
        np.testing.assert_allclose(row, by_hand(labels, scores, part, weight))
    pooled = areas.areas_within_parts(weights, labels, scores, np.zeros(90))
    assert pooled[0, 2] < found[0, 2] - 0.1


def test_a_part_without_a_finding_does_not_count(areas):
    labels, scores, part = images()
    labels[part == 1, 0] = 0
    found = areas.areas_within_parts(np.ones((1, 90)), labels, scores, part)[0]
    others = part != 1
    assert found[0] == pytest.approx(by_hand(labels[others], scores[others], part[others], np.ones(60))[0])


def test_a_reference_of_images_that_are_tested_twice(areas):
    labels, scores, _ = images()
    own = np.concatenate([scores, scores[::-1]])
    applied = SimpleNamespace(
        label=np.concatenate([labels, labels]), margin=own, patient=np.tile(np.arange(90), 2), classes=("a", "b")
    )
    part = np.repeat([0, 1], 90)
    found = areas.area_intervals(applied, part, np.concatenate([scores, scores]), resamples=200)
    known = ~np.isnan(labels[:, 0])
    once = roc_auc_score(labels[known, 0], scores[known, 0])
    assert float(found["reference"][0].value) == pytest.approx(once)
    shuffled = roc_auc_score(labels[known, 0], scores[::-1][known, 0])
    assert float(found["own"][0].value) == pytest.approx((once + shuffled) / 2)
    difference = found["difference"][0]
    assert float(difference.value) == pytest.approx((shuffled - once) / 2)
    assert difference.low < difference.value < difference.high
