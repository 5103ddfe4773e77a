"""Gini index and entropy against mean differences of all pairs, SciPy, and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from shared.saliency.concentration import bag_entropy, bag_gini, entropy, gini


def slow_gini(values):
    """Half the mean difference of all pairs of different pixels, over the mean."""
    x = np.abs(values).ravel().astype(np.float64)
    pairs = np.abs(x[:, None] - x[None]).sum() / (len(x) * (len(x) - 1))
    return pairs / (2 * x.mean())


@pytest.fixture
def maps():
    rng = np.random.default_rng(0)
    return np.concatenate(
        [rng.normal(size=(5, 6, 7)), rng.exponential(size=(5, 6, 7)) ** 3, np.round(rng.normal(size=(5, 6, 7)))]
    )


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_equals_the_definitions(maps, dtype):
    maps = maps.astype(dtype)
    np.testing.assert_allclose(gini(maps), [slow_gini(part) for part in maps], rtol=1e-6)
    expected = [stats.entropy(np.abs(part).ravel().astype(np.float64)) / np.log(42) for part in maps]
    np.testing.assert_allclose(entropy(maps), expected, rtol=1e-6)


@pytest.mark.parametrize(("lit", "pixels"), [(1, 16), (4, 16), (16, 16), (3, 50_000)])
def test_closed_forms_of_some_lit_pixels(lit, pixels):
    """k equal values among P: Gini (P − k)/(P − 1), entropy log k / log P, whatever their size and sign."""
    maps = np.zeros((1, pixels))
    maps[0, :lit] = 1e-3 * (-1) ** np.arange(lit)
    assert gini(maps)[0] == pytest.approx((pixels - lit) / (pixels - 1))
    assert entropy(maps)[0] == pytest.approx(np.log(lit) / np.log(pixels), abs=1e-12)


def test_maps_that_say_nothing_are_undefined(monkeypatch):
    maps = np.stack([np.zeros((3, 3)), np.eye(3)])
    monkeypatch.setattr("shared.saliency.map_arrays.CHUNK_PIXELS", 9)
    for measure in (gini, entropy):
        assert np.isnan(measure(maps)).tolist() == [True, False]
        assert np.isnan(measure(np.ones((2, 1)))).all()


def test_each_bag_is_measured_as_if_alone():
    rng = np.random.default_rng(1)
    lengths = np.array([5, 1, 9, 2, 3])
    values = np.round(rng.normal(size=lengths.sum()), 1)
    values[-3:] = 0.0
    bags = np.split(values, np.cumsum(lengths)[:-1])
    np.testing.assert_allclose(bag_gini(values, lengths), [gini(bag[None])[0] for bag in bags])
    np.testing.assert_allclose(bag_entropy(values, lengths), [entropy(bag[None])[0] for bag in bags])
    assert np.isnan(bag_gini(values, lengths)).tolist() == [False, True, False, False, True]


@pytest.mark.parametrize("measure", [bag_gini, bag_entropy])
def test_lengths_must_add_up(measure):
    with pytest.raises(ValueError, match="lengths of 4 instances"):
        measure(np.ones(5), [2, 2])


def test_equals_quantus():
    """Its Sparseness is the Gini index without P / (P − 1), its Complexity the entropy without its greatest value."""
    quantus = pytest.importorskip("quantus", reason="a comparison by hand: the project does not depend on it")
    maps = np.abs(np.random.default_rng(2).normal(size=(4, 1, 8, 8)))
    call = {"model": None, "x_batch": maps, "y_batch": np.zeros(4, dtype=int), "a_batch": maps}
    options = {"disable_warnings": True, "normalise": False, "abs": False}
    np.testing.assert_allclose(gini(maps), np.array(quantus.Sparseness(**options)(**call)) * 64 / 63, rtol=1e-4)
    np.testing.assert_allclose(entropy(maps), np.array(quantus.Complexity(**options)(**call)) / np.log(64), rtol=1e-4)
