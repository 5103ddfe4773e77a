"""Colours and opacities mean what the colour bar says."""

from __future__ import annotations

import matplotlib
import numpy as np
import pytest
from skimage.color import rgb2lab

from shared.saliency.colours import OPACITY, blend, colour_limit, grey_levels, robust_window, transparent_colours


def test_blend_is_the_weighted_mean_of_grey_and_colour():
    image = np.array([[0.0, 0.5, 1.0, 0.25, 1.0]])
    attribution = np.array([[2.0, -2.0, 0.0, 1.0, 8.0]])
    found = blend(image, attribution, percentile=50, window=(0.0, 1.0))  # the median magnitude is 2
    colours = matplotlib.colormaps["coolwarm"]
    for column, (position, opacity) in enumerate([(1.0, 1), (0.0, 1), (0.5, 0), (0.75, 0.5), (1.0, 1)]):
        weight = opacity * OPACITY
        expected = image[0, column] * (1 - weight) + np.array(colours(position)[:3]) * weight
        np.testing.assert_allclose(found[0, column], expected, atol=0.01)
    assert found[0, 0, 0] > found[0, 0, 2]
    assert found[0, 1, 2] > found[0, 1, 0]


def test_sign_is_antisymmetric_and_zero_leaves_the_image():
    image = np.random.default_rng(0).random((6, 6))
    attribution = np.random.default_rng(1).normal(size=(6, 6))
    np.testing.assert_allclose(blend(image, np.zeros((6, 6)))[..., 0], grey_levels(image), atol=1e-12)
    positive, negative = blend(image, attribution), blend(image, -attribution)
    assert colour_limit(attribution) == colour_limit(-attribution)
    # red gets what blue had
    assert np.all(np.sign(positive[..., 0] - positive[..., 2]) == -np.sign(negative[..., 0] - negative[..., 2]))


def test_colours_are_equally_dark_at_both_ends_and_monotone_on_each_side():
    colours = transparent_colours()(np.linspace(0, 1, 65))
    lightness = rgb2lab(colours[None, :, :3])[0, :, 0]
    np.testing.assert_allclose(lightness, lightness[::-1], atol=2.5)
    assert np.all(np.diff(lightness[:32]) > 0)
    np.testing.assert_allclose(colours[:, 3], OPACITY * np.abs(np.linspace(-1, 1, 65)), atol=0.01)


def test_colour_limit():
    attribution = np.r_[np.linspace(-1, 1, 2001), [1e6]]
    assert colour_limit(attribution, 99) == pytest.approx(0.99, abs=0.01)
    single = np.zeros(1000)
    single[3] = -7
    assert colour_limit(single, 99) == 7
    assert colour_limit(np.zeros(5)) == 1
    with pytest.raises(ValueError, match="percentile"):
        colour_limit(attribution, 0)


def test_window_ignores_few_extremes_and_is_never_empty():
    image = np.r_[np.linspace(0, 1, 10_000), [1e9]]
    low, high = robust_window(image)
    assert (low, high) == (pytest.approx(0.005, abs=1e-3), pytest.approx(0.995, abs=1e-3))
    spike = np.zeros(10_000)
    spike[0] = 3
    assert robust_window(spike) == (0, 3)
    assert np.all(grey_levels(np.full((2, 2), 7.0)) == 0.5)
