"""Maps of different images: alike where the object sits in the middle of each, unrelated where it does not."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr

from shared.saliency.sanity.likeness import likeness
from shared.saliency.sanity.shuffled import shuffled_likeness


@pytest.fixture
def generator():
    return np.random.default_rng(0)


def test_each_map_is_compared_with_every_other_one(generator):
    maps = generator.normal(size=(4, 9, 11)) + np.linspace(-2, 2, 11)
    found = shuffled_likeness(maps, pairings=3)
    assert set(found) == set(likeness(maps, maps))
    for kind, change in (("rank_correlation", np.asarray), ("rank_correlation_absolute", np.abs)):
        flat = change(maps).reshape(4, -1)
        matrix = spearmanr(flat.T).statistic
        np.testing.assert_allclose(found[kind], (matrix.sum(axis=1) - 1) / 3)


def test_an_object_in_the_middle_makes_magnitudes_alike(generator):
    y, x = np.mgrid[-1:1:20j, -1:1:20j]
    middle = np.exp(-4 * (x**2 + y**2)) * generator.normal(size=(12, 20, 20))
    found = shuffled_likeness(middle)
    assert found["rank_correlation_absolute"].mean() > 0.2
    assert abs(found["rank_correlation"].mean()) < 0.05


def test_constant_maps_and_single_ones_have_no_level(generator):
    maps = generator.normal(size=(4, 9, 9))
    maps[1] = 0.0
    assert np.isnan(shuffled_likeness(maps)["rank_correlation"]).tolist() == [False, True, False, False]
    assert np.isnan(shuffled_likeness(maps[:1])["rank_correlation"]).all()


def test_instances_have_no_place_in_common():
    bags = [np.arange(4.0), np.arange(9.0)]
    np.testing.assert_array_equal(shuffled_likeness(bags)["rank_correlation"], [0.0, 0.0])
