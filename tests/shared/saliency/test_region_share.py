"""Share of a map's magnitude on a region: pixel by pixel, and where nothing can be said."""

from __future__ import annotations

import numpy as np
import pytest

from shared.saliency.region_share import region_share


@pytest.mark.parametrize("sign", ["signed", "absolute", "positive"])
def test_equals_a_loop_over_pixels(sign, monkeypatch):
    rng = np.random.default_rng(0)
    maps, regions = rng.normal(size=(7, 5, 6)), rng.random((7, 5, 6)) < 0.3
    found = region_share(maps, regions.astype(int), sign)
    for i in range(7):
        inside = total = 0.0
        for place in np.ndindex(5, 6):
            magnitude = max(maps[i][place], 0.0) if sign == "positive" else abs(maps[i][place])
            total += magnitude
            inside += magnitude * regions[i][place]
        assert found["value"][i] == pytest.approx(inside / total)
        assert found["chance"][i] == pytest.approx(regions[i].sum() / 30)
    monkeypatch.setattr("shared.saliency.map_arrays.CHUNK_PIXELS", 61)
    np.testing.assert_array_equal(region_share(maps, regions, sign)["value"], found["value"])


def test_what_speaks_against_counts_like_what_speaks_for():
    maps, region = np.array([[[1.0, -3.0]]]), np.array([[[0, 1]]])
    assert region_share(maps, region)["value"][0] == 0.75
    assert region_share(maps, region, "positive")["value"][0] == 0.0


def test_a_map_of_zeros_scores_chance_and_an_empty_or_full_region_is_not_measured():
    regions = np.zeros((3, 2, 4), dtype=bool)
    regions[0, 0, 0] = regions[1] = True
    found = region_share(np.zeros((3, 2, 4)), regions)
    np.testing.assert_array_equal(found["value"], [1 / 8, np.nan, np.nan])
    np.testing.assert_array_equal(found["chance"], [1 / 8, np.nan, np.nan])


@pytest.mark.parametrize(
    ("maps", "regions", "sign", "message"),
    [
        (np.ones((2, 3)), np.ones((2, 3)), "signed", r"maps must be \(B, H, W\)"),
        (np.ones((1, 2, 3)), np.ones((1, 3, 2)), "signed", "maps and masks must both be"),
        (np.full((1, 2, 3), np.nan), np.ones((1, 2, 3)), "signed", "found NaN"),
        (np.ones((1, 2, 3)), np.full((1, 2, 3), 4), "signed", "boolean or 0 and 1, found 4"),
        (np.ones((1, 2, 3)), np.ones((1, 2, 3)), "both", "sign must be"),
    ],
)
def test_refuses_what_does_not_fit(maps, regions, sign, message):
    with pytest.raises(ValueError, match=message):
        region_share(maps, regions, sign)
