"""How phantom slides are drawn fast: what is left out would not have been seen, and textures repeat without an end."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

MPP = 0.5


@pytest.fixture(scope="module")
def blob(scripts):
    outline = np.random.default_rng(1).normal(0, 0.06, (5, 2))
    return scripts("phantom_anatomy").Blob(400.0, 300.0, (150.0, 90.0), outline)


@pytest.fixture(scope="module")
def line(scripts):
    points = np.array([[300.0, 250.0], [420.0, 310.0], [500.0, 300.0]])
    return scripts("phantom_anatomy").Line(points, 20.0)


@pytest.mark.parametrize("name", ["blob", "line"])
def test_no_point_of_a_rectangle_lies_deeper_than_said(request, name):
    outline = request.getfixturevalue(name)
    rng = np.random.default_rng(2)
    beside = 0
    for _ in range(300):
        left, top = rng.uniform(-200, 900, 2)
        width, height = rng.uniform(1, 400, 2)
        x, y = np.linspace(left, left + width, 60)[None, :], np.linspace(top, top + height, 60)[:, None]
        deepest = outline.depth(x, y).max()
        greatest = outline.greatest_depth(left, left + width, top, top + height)
        assert deepest <= greatest
        beside += greatest < 0
    assert beside > 100  # the bound tells something


def test_a_weight_is_the_clipped_depth_of_every_pixel(scripts, blob):
    """What is outside, inside and on the edge, with an offset and without, as one would write it pixel by pixel."""
    grid_module = scripts("phantom_grid")
    kinds = set()
    for x, y in ((0, 0), (256, 352), (512, 480), (700, 540), (768, 608), (1024, 700), (1500, 900)):
        grid = grid_module.Grid(x, y, 96, 80, MPP, (0, 0))
        columns, rows = np.arange(x, x + 96) * MPP / 4, np.arange(y, y + 80) * MPP / 4  # in steps of 4 µm
        low = np.floor([columns.min(), rows.min()]).astype(int)
        xs, ys = (np.arange(start, start + 15) * 4.0 + 0.5 * MPP for start in low)
        coarse = blob.depth(xs[None, :], ys[:, None])
        places = np.meshgrid(rows - low[1], columns - low[0], indexing="ij")
        depth = map_coordinates(coarse, places, order=1)
        for offset in (None, np.random.default_rng(3).normal(0, 5, (80, 96)).astype(np.float32)):
            expected = np.clip((depth - 10 + (0 if offset is None else offset)) / 6 + 0.5, 0, 1)
            weight = grid.weight_within(blob, 6.0, offset, deeper_um=10.0)
            kinds.add("none" if weight is None else "all" if np.ndim(weight) == 0 else "some")
            found = np.zeros((80, 96)) if weight is None else np.broadcast_to(weight, (80, 96))
            np.testing.assert_allclose(found, expected, atol=1e-4)
    assert kinds == {"none", "all", "some"}


@pytest.mark.parametrize(("x", "y", "width", "height"), [(3, 5, 7, 6), (60, 61, 9, 12), (-70, 200, 150, 40)])
def test_a_texture_is_repeated_without_an_end(scripts, x, y, width, height):
    texture = np.random.default_rng(0).normal(size=(2, 64, 64)).astype(np.float32)
    found = scripts("periodic_texture").look_up(texture, x, y, width, height)
    rows, columns = (y + np.arange(height)) % 64, (x + np.arange(width)) % 64
    np.testing.assert_array_equal(found, texture[:, rows[:, None], columns])


def test_a_turned_texture_is_interpolated(scripts):
    texture = np.random.default_rng(0).normal(size=(2, 64, 64)).astype(np.float32)
    x, y, angle, scale, shift = np.arange(-9.0, 80)[None, :], np.arange(40.0, 90)[:, None], 0.7, 1.3, (5.25, -3.5)
    found = scripts("periodic_texture").turned_look_up(texture, x, y, angle, scale, shift)
    u = (x * np.cos(angle) + y * np.sin(angle)) / scale + shift[0]
    v = (y * np.cos(angle) - x * np.sin(angle)) / scale + shift[1]
    for plane, expected in zip(found, texture, strict=True):
        np.testing.assert_allclose(plane, map_coordinates(expected, [v, u], order=1, mode="grid-wrap"), atol=1e-4)
    with pytest.raises(ValueError, match="found 48 pixels a side, expected a power of two"):
        scripts("periodic_texture").turned_look_up(texture[:, :48, :48], x, y, angle, scale, shift)


def test_shared_textures_cannot_be_written_to(scripts):
    noise = scripts("phantom_textures").noise_texture(0, 2.0)
    assert noise.std() == pytest.approx(2.0, rel=0.01)
    with pytest.raises(ValueError, match="read-only"):
        scripts("periodic_texture").look_up(noise, 0, 0, 4, 4)[:] = 0
