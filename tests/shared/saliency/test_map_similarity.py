"""Similarity of maps against skimage and SciPy, one pair at a time."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr
from skimage.metrics import structural_similarity as skimage_similarity

from shared.saliency.map_similarity import bag_rank_correlation, rank_correlation, structural_similarity


@pytest.fixture
def pairs():
    rng = np.random.default_rng(0)
    a = rng.normal(size=(8, 13, 17))
    noise = rng.normal(size=a.shape) * np.arange(8)[:, None, None] / 4
    return a, 3.7 * (a + noise) ** 3


def slow_similarity(a, b, window):
    a, b = (part / np.sqrt(np.mean(part**2)) for part in (a, b))
    similarity = weights = 0.0
    for x, y in ((a, b), (-a, -b)):
        x, y = x.clip(min=0), y.clip(min=0)
        weight = (x**2).sum() + (y**2).sum()
        similarity += weight * skimage_similarity(x, y, win_size=window, data_range=1.0)
        weights += weight
    return similarity / weights


@pytest.mark.parametrize("window", [3, 7, 13])
def test_equals_skimage(pairs, window, monkeypatch):
    expected = [slow_similarity(a, b, window) for a, b in zip(*pairs, strict=True)]
    np.testing.assert_allclose(structural_similarity(*pairs, window), expected, atol=1e-12)
    monkeypatch.setattr("shared.saliency.map_arrays.CHUNK_PIXELS", 500)
    np.testing.assert_allclose(structural_similarity(*pairs, window), expected, atol=1e-12)


def test_maps_that_are_not_negative_are_one_picture(pairs):
    a, b = (np.abs(part) for part in pairs)
    expected = [
        skimage_similarity(x / np.sqrt(np.mean(x**2)), y / np.sqrt(np.mean(y**2)), data_range=1.0)
        for x, y in zip(a, b, strict=True)
    ]
    np.testing.assert_allclose(structural_similarity(a, b), expected, atol=1e-12)


def test_similarity_knows_sign_but_not_size(pairs):
    a, b = pairs
    expected = structural_similarity(a, b)
    for factor in (1e-200, 1e-12, 1e9, 1e200):
        np.testing.assert_allclose(structural_similarity(factor * a, b), expected, rtol=1e-9)
    np.testing.assert_allclose(structural_similarity(a, a), 1.0)
    assert np.all(structural_similarity(a, -a) < -0.3)
    np.testing.assert_allclose(structural_similarity(np.abs(a), np.abs(-a)), 1.0)


@pytest.mark.parametrize("power", [1, 5])
@pytest.mark.parametrize("absolute", [False, True])
def test_unrelated_maps_are_not_alike_whatever_their_peaks(power, absolute):
    """By the range of the two, high peaks and a quiet rest are alike: their variance is below the constants."""
    rng = np.random.default_rng(3)
    y, x = np.mgrid[:48, :48] - 24
    spot = np.exp(-(x**2 + y**2) / 60) + 0.02
    a, b = (rng.normal(size=(12, 48, 48)) ** power * spot for _ in range(2))
    if absolute:
        a, b = np.abs(a), np.abs(b)
    assert abs(structural_similarity(a, b).mean()) < 0.3
    by_range = [
        skimage_similarity(p, q, data_range=max(p.max(), q.max()) - min(p.min(), q.min()))
        for p, q in zip(a, b, strict=True)
    ]
    assert np.mean(by_range) > 0.6


def test_single_precision_loses_nothing_that_matters(pairs):
    a, b = (part.astype(np.float32) for part in pairs)
    np.testing.assert_allclose(structural_similarity(a, b), structural_similarity(*pairs), atol=1e-5)


@pytest.mark.parametrize("levels", [None, 3])
def test_rank_correlation_equals_scipy(pairs, levels):
    a, b = pairs if levels is None else (np.round(np.arctan(part) * levels) for part in pairs)
    expected = [spearmanr(x.ravel(), y.ravel())[0] for x, y in zip(a, b, strict=True)]
    np.testing.assert_allclose(rank_correlation(a, b), expected, atol=1e-12)
    np.testing.assert_allclose(rank_correlation(a.astype(np.float32), b), expected, atol=1e-6)
    np.testing.assert_allclose(rank_correlation(a, np.exp(a)), 1.0)
    np.testing.assert_allclose(rank_correlation(a, -a), -1.0)


@pytest.mark.parametrize("measure", [structural_similarity, rank_correlation])
@pytest.mark.parametrize("level", [0.0, 0.1])
def test_maps_without_contrast_are_like_none_and_unlike_none(pairs, measure, level):
    a, b = (part.copy() for part in pairs)
    a[0] = b[1] = a[2] = b[2] = level
    assert np.isnan(measure(a, b)).tolist() == [True] * 3 + [False] * 5


def test_each_bag_is_compared_as_if_alone():
    rng = np.random.default_rng(1)
    lengths = np.array([4, 1, 30, 3, 2, 0, 6])
    a, b = np.round(rng.normal(size=lengths.sum()), 1), np.round(rng.normal(size=lengths.sum()), 1)
    b[35:38] = 0.5
    found = bag_rank_correlation(a, b, lengths)
    ends = np.cumsum(lengths)
    for i, (end, length) in enumerate(zip(ends, lengths, strict=True)):
        x, y = a[end - length : end], b[end - length : end]
        if length < 2 or i == 3:
            assert np.isnan(found[i])
        else:
            assert found[i] == pytest.approx(spearmanr(x, y)[0], nan_ok=True)


def test_refuses_what_does_not_fit(pairs):
    a, b = pairs
    with pytest.raises(ValueError, match="must have one shape"):
        rank_correlation(a, b[:4])
    with pytest.raises(ValueError, match="found NaN"):
        rank_correlation(a, np.full_like(a, np.nan))
    for window in (2, 1, 15, 8):
        with pytest.raises(ValueError, match="window must be odd, at least 3 and within maps of 13 x 17"):
            structural_similarity(a, b, window)
    with pytest.raises(ValueError, match="lengths of 3 instances"):
        bag_rank_correlation(np.ones(4), np.ones(4), [1, 2])
