"""Quality of attribution maps against pixel-by-pixel definitions, scikit-learn and all orders of ties."""

from __future__ import annotations

import itertools
import json
import time

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from shared.saliency.quality import map_quality, sample_quality, summarise_quality

METRICS = ["rank_accuracy", "localisation_auc", "mass_accuracy", "pointing_game"]


def sample(batch=40, height=9, width=7, levels=6, seed=0):
    """Maps with few distinct values, so that ties are everywhere, and masks of every size."""
    rng = np.random.default_rng(seed)
    maps = rng.integers(-levels // 2, levels, (batch, height, width)).astype(np.float32)
    masks = rng.random((batch, height, width)) < rng.uniform(0.05, 0.95, (batch, 1, 1))
    maps += 2 * masks * (rng.random((batch, 1, 1)) < 0.5)
    return maps, masks


def slow_quality(attribution, mask, radius):
    """All four metrics of one sample, by their definitions."""
    attribution = attribution.astype(np.float64)
    height, width = mask.shape
    pixels = list(itertools.product(range(height), range(width)))
    inside = [p for p in pixels if mask[p]]
    k = len(inside)
    kth = sorted((attribution[p] for p in pixels), reverse=True)[k - 1]
    sure = [p for p in pixels if attribution[p] > kth]
    tied = [p for p in pixels if attribution[p] == kth]
    rank = sum(mask[p] for p in sure) + (k - len(sure)) * sum(mask[p] for p in tied) / len(tied)
    total = sum(max(attribution[p], 0) for p in pixels)
    mass = sum(max(attribution[p], 0) for p in inside) / total
    near = [p for p in pixels if any(np.hypot(p[0] - q[0], p[1] - q[1]) <= radius for q in inside)]
    top = [p for p in pixels if attribution[p] == attribution.max()]
    return {
        "rank_accuracy": (rank / k, k / len(pixels)),
        "localisation_auc": (roc_auc_score(mask.ravel(), attribution.ravel()), 0.5),
        "mass_accuracy": (mass, k / len(pixels)),
        "pointing_game": (sum(p in near for p in top) / len(top), len(near) / len(pixels)),
    }


@pytest.mark.parametrize("radius", [0, 1, 1.5, 2])
@pytest.mark.parametrize("sign", ["signed", "absolute", "positive"])
def test_equals_the_definitions(sign, radius):
    maps, masks = sample(seed=int(10 * radius))
    found = map_quality(maps, masks, sign=sign, radius=radius)
    assert list(found) == METRICS
    seen = {"absolute": np.abs(maps), "positive": np.maximum(maps, 0), "signed": maps}[sign]
    for i in range(len(maps)):
        for name, (value, chance) in slow_quality(seen[i], masks[i], radius).items():
            if name == "pointing_game" and chance == 1.0:
                assert np.isnan(found[name]["value"][i])
                continue
            assert found[name]["value"][i] == pytest.approx(value, abs=1e-12), (name, i)
            assert found[name]["chance"][i] == pytest.approx(chance, abs=1e-12), (name, i)


def test_ties_are_averaged_over_all_orders():
    """Break ties in every possible way: the mean over the orders is what the metrics give."""
    attribution, mask = np.array([[2.0, 1.0, 1.0], [1.0, 2.0, 0.0]]), np.array([[0, 1, 0], [0, 1, 1]], dtype=bool)
    found = map_quality(attribution[None], mask[None])
    values = {name: [] for name in METRICS}
    for order in itertools.permutations(range(6)):
        broken = attribution + 1e-6 * np.array(order).reshape(2, 3)
        one = map_quality(broken[None], mask[None])
        for name in METRICS:
            values[name].append(one[name]["value"][0])
    for name in ("rank_accuracy", "localisation_auc", "pointing_game"):
        assert found[name]["value"][0] == pytest.approx(np.mean(values[name]), abs=1e-12)


@pytest.mark.parametrize("level", [-1.0, 0.0, 0.1])
@pytest.mark.parametrize("radius", [0, 2])
def test_constant_maps_score_chance(level, radius):
    _, masks = sample(batch=20, height=16, width=16)
    found = map_quality(np.full(masks.shape, level, dtype=np.float32), masks, radius=radius)
    for name in METRICS:
        measured = ~np.isnan(found[name]["value"])
        assert measured.any()
        np.testing.assert_allclose(found[name]["value"], found[name]["chance"], rtol=1e-6)


def test_random_maps_average_to_chance_and_perfect_ones_to_one():
    rng = np.random.default_rng(3)
    masks = np.zeros((4000, 8, 8), dtype=bool)
    masks[:, 2:5, 3:7] = True
    random = map_quality(rng.normal(size=masks.shape), masks, sign="positive", radius=1)
    perfect = map_quality(masks.astype(float), masks)
    for name in METRICS:
        values = random[name]["value"]
        error = values.std() / np.sqrt(len(values))
        assert abs(values.mean() - random[name]["chance"].mean()) < 4 * error
        assert np.all(perfect[name]["value"] == 1.0)
    reversed_ = map_quality(-masks.astype(float), masks)
    assert np.all(reversed_["localisation_auc"]["value"] == 0.0)
    assert np.all(reversed_["rank_accuracy"]["value"] == 0.0)
    assert np.all(map_quality(-masks.astype(float), masks, sign="absolute")["rank_accuracy"]["value"] == 1.0)


@pytest.mark.parametrize("fill", [False, True])
def test_empty_and_full_masks_are_not_measured(fill):
    maps, masks = sample(batch=5)
    masks[2] = fill
    found = map_quality(maps, masks, radius=1)
    for name in METRICS:
        assert np.isnan(found[name]["value"][2])
        assert np.isnan(found[name]["chance"][2])
        assert sample_quality(found, 2)[name] == {"value": None, "chance": None}
    summary = summarise_quality(found)
    assert summary["rank_accuracy"]["n"] == 4
    assert summary["rank_accuracy"]["n_without_mask"] == 1


def test_a_tolerance_that_reaches_everywhere_is_no_hit():
    masks = np.zeros((1, 5, 5), dtype=bool)
    masks[0, 2, 2] = True
    maps = np.random.default_rng(0).normal(size=(1, 5, 5))
    assert np.isnan(map_quality(maps, masks, radius=10)["pointing_game"]["value"][0])
    assert not np.isnan(map_quality(maps, masks, radius=2)["pointing_game"]["value"][0])


def test_summary():
    rng = np.random.default_rng(5)
    values, chances = rng.random(200), rng.random(200)
    values[:20] = np.nan
    chances[:20] = np.nan
    entry = summarise_quality({"rank_accuracy": {"value": values, "chance": chances}}, resamples=4000)["rank_accuracy"]
    mean, error = values[20:].mean(), values[20:].std() / np.sqrt(180)
    assert entry["value"] == pytest.approx(mean)
    assert entry["ci95"] == pytest.approx([mean - 1.96 * error, mean + 1.96 * error], abs=0.15 * error)
    assert entry["chance"] == pytest.approx(chances[20:].mean())
    assert (entry["n"], entry["n_without_mask"]) == (180, 20)
    clustered = {"x": {"value": np.repeat(values[20:40], 10), "chance": np.repeat(chances[20:40], 10)}}
    wide = summarise_quality(clustered, groups=np.repeat(np.arange(20), 10))["x"]["ci95"]
    narrow = summarise_quality(clustered)["x"]["ci95"]
    alone = summarise_quality(clustered, groups=["D1"] * 200)["x"]
    assert (alone["ci95"], alone["reason"]) == (None, "only one group")
    assert wide[1] - wide[0] > 2 * (narrow[1] - narrow[0])


def test_summary_of_nothing_and_of_one_is_json():
    nothing = summarise_quality(map_quality(np.zeros((3, 4, 4)), np.zeros((3, 4, 4))))
    assert nothing["mass_accuracy"]["value"] is None
    assert nothing["mass_accuracy"]["n_without_mask"] == 3
    assert nothing["mass_accuracy"]["reason"]
    mask = np.eye(4)[None]
    one = summarise_quality(map_quality(mask, mask))
    assert one["mass_accuracy"] == {
        "value": 1.0,
        "ci95": None,
        "reason": "only one group",
        "chance": 0.25,
        "n": 1,
        "n_without_mask": 0,
    }
    json.dumps([nothing, one, summarise_quality(map_quality(np.zeros((0, 4, 4)), mask[:0]))], allow_nan=False)


def test_chunks_give_the_same(monkeypatch):
    maps, masks = sample()
    whole = map_quality(maps, masks, radius=1)
    monkeypatch.setattr("shared.saliency.map_arrays.CHUNK_PIXELS", 200)
    pieces = map_quality(maps, masks, radius=1)
    for name in METRICS:
        np.testing.assert_array_equal(whole[name]["value"], pieces[name]["value"])


@pytest.mark.parametrize(
    ("maps", "masks", "options", "message"),
    [
        (np.zeros((2, 3, 3)), np.zeros((2, 3, 4)), {}, "found \\(2, 3, 3\\) and \\(2, 3, 4\\)"),
        (np.zeros((2, 1, 3, 3)), np.zeros((2, 1, 3, 3)), {}, "sum or average the channels"),
        (np.full((2, 3, 3), np.nan), np.zeros((2, 3, 3)), {}, "samples \\[0, 1\\]"),
        (np.zeros((1, 3, 3)), np.full((1, 3, 3), 9, dtype=np.uint8), {}, "found 9; choose a bit"),
        (np.zeros((1, 3, 3)), np.zeros((1, 3, 3)), {"sign": "both"}, "found 'both'"),
        (np.zeros((1, 3, 3)), np.zeros((1, 3, 3)), {"radius": -1}, "radius"),
    ],
)
def test_refused(maps, masks, options, message):
    with pytest.raises(ValueError, match=message):
        map_quality(maps, masks, **options)


def test_a_thousand_maps_are_quick():
    rng = np.random.default_rng(0)
    maps, masks = rng.normal(size=(1000, 50, 50)).astype(np.float32), np.zeros((1000, 50, 50), dtype=np.uint8)
    masks[:, 10:30, 15:40] = 1
    start = time.process_time()
    map_quality(maps, masks)
    assert time.process_time() - start < 1.5
