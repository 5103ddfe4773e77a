from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from tests.oracles.chain_code import moore_boundary


@pytest.fixture(scope="module")
def perimeter(bundle_scripts):
    return bundle_scripts("lymphocytosis_moe")("rivals.perimeter")


def _blob(seed):
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(40, 50)), 2.5)
    labels, _ = ndimage.label(noise > 0.02, np.ones((3, 3)))
    return labels == np.bincount(labels.ravel())[1:].argmax() + 1


def _closed_steps(pixels):
    """Steps of a closed walk, as a multiset: start and sense of the walk do not matter."""
    ends = np.roll(pixels, -1, axis=0)
    return sorted(tuple(sorted((tuple(map(int, a)), tuple(map(int, b))))) for a, b in zip(pixels, ends, strict=True))


@pytest.mark.parametrize("seed", range(8))
def test_the_boundary_is_that_of_following_pixel_by_pixel(perimeter, seed):
    mask = _blob(seed)
    assert _closed_steps(perimeter.boundary_pixels(mask)) == _closed_steps(moore_boundary(mask))


def test_a_line_is_walked_in_both_directions_and_a_hole_is_not_walked(perimeter):
    line = np.zeros((5, 7), bool)
    line[2, 1:6] = True
    assert perimeter.outline_lengths(line).diagonal_weighted == 8
    ring = np.ones((9, 9), bool)
    ring[2:7, 2:7] = False
    assert perimeter.outline_lengths(ring) == perimeter.outline_lengths(np.ones((9, 9), bool))
    assert perimeter.outline_lengths(np.ones((1, 1), bool)) == (0, 0)


def test_weights_of_a_rectangle_and_of_a_diamond(perimeter):
    lengths = perimeter.outline_lengths(np.ones((5, 9), bool))
    assert lengths.corner_weighted == pytest.approx(0.980 * 24 - 0.091 * 4)
    assert lengths.diagonal_weighted == pytest.approx(24)
    rows, columns = np.mgrid[-6:7, -6:7]
    lengths = perimeter.outline_lengths(np.abs(rows) + np.abs(columns) <= 6)
    assert lengths.corner_weighted == pytest.approx(1.406 * 24 - 0.091 * 4)
    assert lengths.diagonal_weighted == pytest.approx(24 * np.sqrt(2))


@pytest.mark.parametrize("radius", [12.3, 20.7, 41.2])
def test_a_disc_has_the_circumference_of_its_boundary_pixels(perimeter, radius):
    rows, columns = np.mgrid[-50:51, -50:51]
    lengths = perimeter.outline_lengths(np.hypot(rows, columns) <= radius)
    # the walk goes through the centres of the outermost pixels, on average half a pixel inside
    assert lengths.corner_weighted == pytest.approx(2 * np.pi * (radius - 0.5), rel=0.02)
    # without weights for the corners the length is overestimated, as Vossepoel and Smeulders set out to mend
    assert lengths.diagonal_weighted > 1.03 * lengths.corner_weighted
