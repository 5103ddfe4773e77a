"""IoU at quantiles against scikit-learn, every way of breaking ties, and the hypergeometric mean."""

from __future__ import annotations

import itertools
from math import ceil

import numpy as np
import pytest
from scipy.stats import hypergeom
from sklearn.metrics import jaccard_score

from shared.saliency.overlap import QUANTILES, expected_iou, iou, iou_at, tune_threshold

T = [0.0, 0.25, 0.5, 0.75, 0.9]


def sample(batch=20, height=9, width=7, levels=None, seed=0):
    rng = np.random.default_rng(seed)
    maps = rng.normal(size=(batch, height, width))
    if levels is not None:
        maps = np.round(maps * levels) / levels
    return maps, rng.random((batch, height, width)) < rng.uniform(0.1, 0.6, (batch, 1, 1))


def every_choice(attribution, mask, chosen):
    """Mean IoU over all sets of so many pixels that no pixel outside is higher than."""
    values, truth = attribution.ravel(), mask.ravel()
    found = []
    for places in itertools.combinations(range(len(values)), chosen):
        inside = np.zeros(len(values), dtype=bool)
        inside[list(places)] = True
        if inside.all() or values[inside].min() >= values[~inside].max():
            found.append((inside & truth).sum() / (inside | truth).sum())
    return np.mean(found)


@pytest.mark.parametrize("sign", ["signed", "absolute", "positive"])
def test_equals_sklearn_without_ties(sign):
    maps, masks = sample()
    if sign == "positive":
        maps = np.abs(maps)
    found = iou(maps, masks, T, sign)
    seen = np.abs(maps) if sign == "absolute" else maps
    assert found.shape == (20, 5)
    for i, (j, quantile) in itertools.product(range(len(maps)), enumerate(T)):
        chosen = ceil((1 - quantile) * 63)
        above = seen[i] >= np.sort(seen[i], axis=None)[-chosen]
        assert found[i, j] == pytest.approx(jaccard_score(masks[i].ravel(), above.ravel()), abs=1e-12)


def test_ties_are_averaged_over_all_choices():
    rng = np.random.default_rng(2)
    maps, masks = rng.integers(0, 3, (12, 3, 4)).astype(float), rng.random((12, 3, 4)) < 0.4
    masks[:, 0, 0], masks[:, 0, 1] = True, False
    found = iou(maps, masks, T)
    for i, (j, quantile) in itertools.product(range(len(maps)), enumerate(T)):
        assert found[i, j] == pytest.approx(every_choice(maps[i], masks[i], ceil((1 - quantile) * 12)), abs=1e-12)


def test_chance_is_that_of_constant_and_of_random_maps():
    _, masks = sample(seed=3)
    constant = iou_at(np.full(masks.shape, 0.3), masks, 0.8)
    np.testing.assert_allclose(constant["value"], constant["chance"], rtol=1e-12)
    assert constant["chance"][0] == pytest.approx(
        sum(
            hypergeom.pmf(shared, 63, masks[0].sum(), 13) * shared / (masks[0].sum() + 13 - shared)
            for shared in range(14)
        )
    )
    rng = np.random.default_rng(4)
    values = np.stack([iou_at(rng.normal(size=masks.shape), masks, 0.8)["value"] for _ in range(1500)])
    error = values.std(axis=0) / np.sqrt(len(values))
    assert np.all(np.abs(values.mean(axis=0) - constant["chance"]) < 4.5 * error)


@pytest.mark.parametrize(
    ("certain", "tied", "inside", "places", "size"),
    [(0, 50176, 3000, 10035, 13035), (7, 40, 40, 5, 60), (7, 40, 0, 5, 60), (0, 1, 1, 1, 9), (3, 90000, 4, 700, 900)],
)
def test_the_mean_is_that_of_all_hypergeometric_outcomes(certain, tied, inside, places, size):
    hits = np.arange(max(0, places - (tied - inside)), min(inside, places) + 1)
    weights = hypergeom.pmf(hits, tied, inside, places)
    expected = (weights * (certain + hits) / (size - certain - hits)).sum() / weights.sum()
    arguments = (np.array([value, 1]) for value in (certain, tied, inside, places, size))
    assert expected_iou(*arguments)[0] == pytest.approx(expected, rel=1e-9)


def test_the_tuned_quantile_is_the_best_of_all_and_finds_the_area_of_a_perfect_map():
    masks = np.zeros((6, 20, 20), dtype=bool)
    masks[:, 4:12, 5:10] = True  # a tenth of the image
    perfect = tune_threshold(masks + np.random.default_rng(0).random(masks.shape) * 0.1, masks)
    assert (perfect.quantile, perfect.iou, perfect.n) == (0.9, 1.0, 6)
    maps, masks = sample(batch=30)
    maps += masks
    masks[4] = False
    tuned = tune_threshold(maps, masks)
    means = np.nanmean(iou(maps, masks, QUANTILES), axis=0)
    assert tuned.iou == pytest.approx(means.max())
    assert tuned.quantile == QUANTILES[int(means.argmax())]
    assert tuned.n == 29
    assert np.nanmean(iou_at(maps, masks, tuned.quantile)["value"]) == pytest.approx(tuned.iou)
    assert tune_threshold(-maps, masks, "absolute") == tune_threshold(maps, masks, "absolute")


def test_empty_and_full_masks_are_not_measured(monkeypatch):
    maps, masks = sample(batch=6)
    masks[1], masks[4] = False, True
    whole = iou_at(maps, masks, 0.7)
    assert np.isnan(whole["value"][[1, 4]]).all()
    assert np.isnan(whole["chance"][[1, 4]]).all()
    assert np.isfinite(whole["value"][[0, 2, 3, 5]]).all()
    monkeypatch.setattr("shared.saliency.map_arrays.CHUNK_PIXELS", 100)
    np.testing.assert_array_equal(iou_at(maps, masks, 0.7)["value"], whole["value"])
    with pytest.raises(ValueError, match="neither empty nor the whole image"):
        tune_threshold(maps, np.zeros_like(masks))


@pytest.mark.parametrize("quantiles", [[1.0], [-0.1], [], [float("nan")], [[0.5]]])
def test_quantiles_are_checked(quantiles):
    maps, masks = sample(batch=2)
    with pytest.raises(ValueError, match="quantiles must be in"):
        iou(maps, masks, quantiles)


def test_tenths_are_not_lost_to_rounding():
    """(1 − 0.9) · 10 is 0.99999999 or 1.00000001; one pixel is meant."""
    maps = np.arange(10.0).reshape(1, 2, 5)
    assert iou(maps, maps == 9, [0.9, 0.7]).tolist() == [[1.0, 1 / 3]]
