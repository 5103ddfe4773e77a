"""Maps of tile values against slow loops over pixels: strides, gaps, odd sizes, coordinates that were rounded."""

from __future__ import annotations

import numpy as np
import pytest

from shared.data.errors import DataError


def painted(coords, side, values, size):
    """The mean over the tiles that cover each pixel of level 0, one pixel after the other, ``(H, W)``."""
    total, count = np.zeros(size[::-1]), np.zeros(size[::-1])
    for (x, y), value in zip(coords, values, strict=True):
        total[y : y + side, x : x + side] += value
        count[y : y + side, x : x + side] += 1
    with np.errstate(invalid="ignore"):
        return total / count


def tiles(size, side, step, share=0.7, seed=0):
    rng = np.random.default_rng(seed)
    xs, ys = (np.arange(0, length - side + 1, step) for length in size)
    coords = np.stack(np.meshgrid(xs, ys), axis=-1).reshape(-1, 2)
    coords = coords[rng.random(len(coords)) < share]
    return coords, rng.standard_normal(len(coords))


@pytest.fixture(scope="module")
def module(scripts):
    return scripts("heat_map")


@pytest.mark.parametrize(("side", "step"), [(16, 16), (16, 8), (16, 5), (13, 7), (7, 20), (24, 6)])
@pytest.mark.parametrize("size", [(101, 67), (64, 130)])
def test_every_pixel_has_the_mean_of_the_tiles_over_it(module, side, step, size):
    coords, values = tiles(size, side, step)
    heat_map = module.TileGrid(coords, side, size).heat_map(values)
    found = heat_map.raster(1.0, size[::-1])
    np.testing.assert_allclose(found, painted(coords, side, values, size), rtol=1e-13, equal_nan=True)


def test_grids_that_begin_anywhere_are_exact(module):
    """As CLAM's, which begin anew in each piece of tissue."""
    rng = np.random.default_rng(1)
    coords = np.concatenate([offset + 9 * rng.integers(0, 5, (12, 2)) for offset in (0, 4, 31)])
    values = rng.standard_normal(len(coords))
    found = module.TileGrid(coords, 9).heat_map(values).raster(1.0, (90, 90))
    np.testing.assert_allclose(found, painted(coords, 9, values, (90, 90)), rtol=1e-13, equal_nan=True)


def test_a_mean_is_not_spoiled_by_larger_neighbours(module):
    """Running sums over the slide would leave 1e-16 of the largest weight in the least."""
    coords = np.array([[0, 0], [8, 0], [16, 0], [40, 0]])
    values = np.array([0.9, 1e-14, 3e-14, 7e-19])
    cells = module.TileGrid(coords, 16).heat_map(values).values[0]
    np.testing.assert_array_equal(cells[[0, 1, 2, 3, 5]], [0.9, 0.9 / 2 + 1e-14 / 2, (1e-14 + 3e-14) / 2, 3e-14, 7e-19])
    assert np.isnan(cells[4])


@pytest.mark.parametrize("downsample", [1.0, 3.7, 8.0, 16.01])
def test_a_picture_has_the_values_at_the_middles_of_its_pixels(module, downsample):
    size = (211, 94)
    coords, values = tiles(size, 16, 16)
    heat_map = module.TileGrid(coords, 16, size).heat_map(values)
    shape = tuple(int(np.ceil(length / downsample)) for length in size[::-1])
    expected = np.full(shape, np.nan)
    for row in range(shape[0]):
        for column in range(shape[1]):
            x, y = (column + 0.5) * downsample, (row + 0.5) * downsample
            inside = (coords[:, 0] <= x) & (x < coords[:, 0] + 16) & (coords[:, 1] <= y) & (y < coords[:, 1] + 16)
            if inside.any():
                expected[row, column] = values[inside].item()
    found = heat_map.raster(downsample, shape)
    np.testing.assert_array_equal(found, expected)
    # a part of the picture is that part
    np.testing.assert_array_equal(heat_map.raster(downsample, (3, 4), (2, 1)), found[1:4, 2:6])


def test_rounded_coordinates_leave_no_slivers(module):
    """STAMP's tiles have a side that is no whole number of pixels."""
    side = 447.31
    corners = np.rint(np.arange(6) * side).astype(int)
    coords = np.stack(np.meshgrid(corners, corners), axis=-1).reshape(-1, 2)
    grid = module.TileGrid(coords, side)
    assert grid.shape == (6, 6)
    values = np.arange(36.0)
    np.testing.assert_array_equal(grid.heat_map(values).values.ravel(), values)


def test_tiles_end_at_the_border_of_the_slide(module):
    heat_map = module.TileGrid(np.array([[0, 0], [16, 0]]), 16, (25, 10)).heat_map([1, 2])
    assert (heat_map.x_edges.tolist(), heat_map.y_edges.tolist()) == ([0, 16, 25], [0, 10])
    np.testing.assert_array_equal(heat_map.areas, [[160, 90]])
    assert np.isnan(heat_map.at([-0.1, 25.0], [5.0])).all()


@pytest.mark.parametrize(
    ("coords", "side", "size", "message"),
    [
        (np.zeros((0, 2)), 16, None, "needs corners"),
        (np.zeros((3, 3)), 16, None, "needs corners"),
        (np.array([[0, 0]]), 0, None, "positive side"),
        (np.array([[0, 0], [300, 0]]), 16, (256, 256), "begins at 300, outside of the slide of 256"),
        (np.array([[0, -4]]), 16, (256, 256), "begins at -4"),
    ],
)
def test_what_are_no_tiles_of_the_slide_is_refused(module, coords, side, size, message):
    with pytest.raises(DataError, match=message):
        module.TileGrid(coords, side, size)


def test_corners_without_any_grid_are_refused_before_they_fill_the_memory(module):
    rng = np.random.default_rng(0)
    with pytest.raises(DataError, match="which is no grid of tiles"):
        module.TileGrid(rng.integers(0, 100_000, (20_000, 2)), 256)


def test_values_must_be_one_finite_number_for_each_tile(module):
    grid = module.TileGrid(np.array([[0, 0], [16, 0]]), 16)
    for values in ([1.0], [1.0, np.nan], [[1.0], [2.0]]):
        with pytest.raises(ValueError, match="expected 2 finite values"):
            grid.heat_map(values)
