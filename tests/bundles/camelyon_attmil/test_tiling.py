"""The grid of tiles against brute force."""

from __future__ import annotations

import numpy as np
import pytest

from shared.data.errors import DataError


@pytest.fixture(scope="module")
def tiling(scripts):
    return scripts("tiling")


def _geometry(scripts, side):
    return scripts("slide").TileGeometry(
        tile_size=side, level0_tile_size=side, level=0, level_tile_size=side, downsample=1.0, mpp=0.5
    )


def _mask(shape, seed=0):
    return np.random.default_rng(seed).uniform(size=shape) < 0.5


@pytest.mark.parametrize("downsample", [4, 7])
def test_shares_equal_those_counted_pixel_by_pixel(tiling, downsample):
    mask = _mask((19, 23))
    full = np.kron(mask, np.ones((downsample, downsample)))
    xs, ys = np.array([0, 3, 10, 31, 60]), np.array([0, 5, 22, 40])
    found = tiling.mask_shares(mask, float(downsample), xs, ys, 16)
    expected = [[full[y : y + 16, x : x + 16].sum() / 256 for x in xs] for y in ys]
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_shares_beyond_the_mask_count_as_none(tiling):
    found = tiling.mask_shares(np.ones((2, 2), dtype=bool), 5.0, np.array([0, 5, 8]), np.array([6]), 5)
    np.testing.assert_allclose(found, [[0.8, 0.8, 0.32]])


@pytest.mark.parametrize("stride", [1.0, 0.5, 1.5])
def test_tiles_are_all_those_with_enough_tissue(tiling, scripts, stride):
    mask, downsample, side, size = _mask((25, 40), seed=1), 8.0, 32, (317, 199)
    tissue = scripts("tissue").TissueMask(mask, downsample, 20.0, False)
    found = tiling.Tiling(stride=stride, tissue_share=0.5, block=3)(size, _geometry(scripts, side), tissue)
    full = np.kron(mask, np.ones((8, 8)))
    step = round(side * stride)
    expected = {
        (x, y)
        for x in range(0, size[0] - side + 1, step)
        for y in range(0, size[1] - side + 1, step)
        if full[y : y + side, x : x + side].mean() >= 0.5
    }
    assert found.dtype == np.int64
    assert len(found) == len(expected) > 5
    assert {tuple(corner) for corner in found.tolist()} == expected


def test_tiles_come_block_by_block(tiling, scripts):
    tissue = scripts("tissue").TissueMask(np.ones((32, 32), dtype=bool), 8.0, 20.0, False)
    found = tiling.Tiling(block=4)((256, 256), _geometry(scripts, 32), tissue) // 32
    blocks = found // 4
    changes = (np.diff(blocks, axis=0) != 0).any(axis=1).sum()
    assert changes == len(np.unique(blocks, axis=0)) - 1 == 3


def test_a_slide_smaller_than_a_tile_has_none(tiling, scripts):
    tissue = scripts("tissue").TissueMask(np.ones((4, 4), dtype=bool), 8.0, 20.0, False)
    assert tiling.Tiling()((31, 200), _geometry(scripts, 32), tissue).shape == (0, 2)


def test_values_out_of_range_are_refused(tiling):
    with pytest.raises(DataError, match=r"tissue_share: found 0\.0, expected a number above 0 and at most 1"):
        tiling.Tiling(tissue_share=0.0)
