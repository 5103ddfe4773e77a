"""Many patches in many images, against one pixel after the other."""

from __future__ import annotations

import numpy as np
import pytest

from shared.phantoms.patches import add_patches, patch_offsets


def test_offsets_point_from_the_centre_to_each_pixel():
    rows, columns = np.array([10.3, 4.5, -2.2]), np.array([7.0, 3.8, 0.4])
    dy, dx = patch_offsets(rows, columns, 2)
    assert dy.shape == (3, 5, 1)
    assert dx.shape == (3, 1, 5)
    for index in range(3):
        pixels = round(rows[index]) + np.arange(-2, 3)
        np.testing.assert_allclose(dy[index, :, 0], pixels - rows[index], atol=1e-12)
        pixels = round(columns[index]) + np.arange(-2, 3)
        np.testing.assert_allclose(dx[index, 0], pixels - columns[index], atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_adding_pixel_by_pixel(dtype):
    rng = np.random.default_rng(0)
    canvas = rng.normal(size=(3, 9, 12)).astype(dtype)
    expected = canvas.copy()
    image = rng.integers(0, 3, 20)
    rows, columns = rng.uniform(-3, 12, 20), rng.uniform(-3, 15, 20)  # many lie over the border, some outside
    patches = rng.normal(size=(20, 5, 5))
    for index in range(20):
        for i in range(5):
            for j in range(5):
                y, x = round(rows[index]) + i - 2, round(columns[index]) + j - 2
                if 0 <= y < 9 and 0 <= x < 12:
                    expected[image[index], y, x] += patches[index, i, j]
    add_patches(canvas, image, rows, columns, patches)
    assert canvas.dtype == dtype
    np.testing.assert_allclose(canvas, expected, atol=1e-12 if dtype == np.float64 else 1e-5)


def test_a_disc_keeps_its_area_and_centre_wherever_it_lies():
    place = np.array([[6.0, 6.0], [6.4, 5.7], [5.5, 6.5]])
    dy, dx = patch_offsets(place[:, 0], place[:, 1], 5)
    canvas = np.zeros((3, 13, 13))
    add_patches(canvas, np.arange(3), place[:, 0], place[:, 1], np.exp(-(dy**2 + dx**2) / 2))
    np.testing.assert_allclose(canvas.sum(axis=(1, 2)), 2 * np.pi, rtol=1e-4)
    rows = (canvas * np.arange(13)[:, None]).sum(axis=(1, 2)) / canvas.sum(axis=(1, 2))
    np.testing.assert_allclose(rows, place[:, 0], atol=1e-3)


def test_no_patches():
    canvas = np.ones((2, 3, 3))
    add_patches(canvas, np.zeros(0, int), np.zeros(0), np.zeros(0), np.zeros((0, 3, 3)))
    assert (canvas == 1).all()
