"""Transmitted light against the law of Beer and Lambert, red cells against the published profile."""

from __future__ import annotations

import math

import numpy as np
import pytest

from shared.phantoms.staining import absorbance, red_cell_thickness, transmitted_light

BACKGROUND = np.array([250.0, 230.0, 200.0])


def test_one_unit_of_a_stain_shows_its_colour():
    colour = np.array([60.0, 30.0, 110.0])
    light = transmitted_light(BACKGROUND, [np.array([0.0, 1.0])], [absorbance(colour, BACKGROUND)])
    np.testing.assert_allclose(light, [BACKGROUND, colour], rtol=1e-12)


def test_stains_filter_the_light_one_after_the_other():
    rng = np.random.default_rng(0)
    first, second = rng.uniform(0, 2, (2, 4, 5))
    one, two = absorbance([100, 50, 150], BACKGROUND), absorbance([200, 150, 190], BACKGROUND)
    both = transmitted_light(BACKGROUND, [first, second], [one, two])
    through_one = transmitted_light(BACKGROUND, [first], [one])
    np.testing.assert_allclose(both, transmitted_light(through_one, [second], [two]), rtol=1e-12)
    assert both.shape == (4, 5, 3)
    slow = [
        [
            [b * math.exp(-x * e - y * f) for b, e, f in zip(BACKGROUND, one, two, strict=True)]
            for x, y in zip(row, other, strict=True)
        ]
        for row, other in zip(first, second, strict=True)
    ]
    np.testing.assert_allclose(both, slow, rtol=1e-12)


def test_profile_of_evans_and_fung():
    radius = np.linspace(0, 1, 201)
    published = [math.sqrt(1 - r**2) * (0.81 + 7.83 * r**2 - 4.39 * r**4) for r in radius.tolist()]  # µm
    np.testing.assert_allclose(red_cell_thickness(radius), np.array(published) / max(published), atol=1e-3)
    assert red_cell_thickness(radius).max() == pytest.approx(1, abs=1e-4)


def test_pallor_mixes_with_a_flat_disc_and_nothing_lies_outside():
    radius = np.linspace(0, 1.5, 301)
    flat, half, full = (red_cell_thickness(radius, pallor) for pallor in (0.0, 0.5, 1.0))
    np.testing.assert_allclose(half, (flat + full) / 2, atol=1e-12)
    assert (flat[radius < 0.7] == 1).all()
    assert (np.diff(flat) <= 0).all()
    for profile in (flat, half, full):
        assert (profile[radius >= 1] == 0).all()
    many = red_cell_thickness(np.zeros((2, 3)), np.array([[0.0], [1.0]]))
    assert (many[0] == 1).all()
    assert (many[1] < 0.35).all()
    assert red_cell_thickness(radius.astype(np.float32)).dtype == np.float32
