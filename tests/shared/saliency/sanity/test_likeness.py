import numpy as np
import pytest
from scipy.stats import spearmanr

from shared.saliency.sanity.likeness import headline, likeness


@pytest.fixture
def maps():
    return np.random.default_rng(0).normal(size=(3, 9, 11))


def test_a_map_of_the_other_sign_is_told_from_one_that_changed(maps):
    found = likeness(maps, -maps)
    np.testing.assert_allclose(found["rank_correlation"], -1)
    np.testing.assert_allclose(found["rank_correlation_absolute"], 1)
    assert found["structural_similarity"].max() < 0.1
    np.testing.assert_allclose(found["structural_similarity_absolute"], 1)


def test_constant_maps_are_neither_alike_nor_unlike(maps):
    other = maps.copy()
    other[1] = 4.0
    assert np.isnan(likeness(other, other)["rank_correlation"]).tolist() == [False, True, False]
    assert np.isnan(likeness(maps, other)["structural_similarity"]).tolist() == [False, True, False]


def test_of_a_map_that_is_never_negative_there_is_no_magnitude(maps):
    assert set(likeness(np.abs(maps), np.abs(maps), "positive")) == {"rank_correlation", "structural_similarity"}
    assert [headline(sign) for sign in ("signed", "positive", "absolute")] == [
        "rank_correlation",
        "rank_correlation",
        "rank_correlation_absolute",
    ]


def test_bags_of_several_sizes_are_compared_by_rank():
    generator = np.random.default_rng(1)
    first = [generator.normal(size=n) for n in (4, 30, 7)]
    second = [values + generator.normal(size=len(values)) for values in first]
    found = likeness(first, second)
    assert set(found) == {"rank_correlation", "rank_correlation_absolute"}
    for kind, change in (("rank_correlation", np.asarray), ("rank_correlation_absolute", np.abs)):
        pairs = zip(first, second, strict=True)
        expected = [spearmanr(change(a), change(b)).statistic for a, b in pairs]
        np.testing.assert_allclose(found[kind], expected)
