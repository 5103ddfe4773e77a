"""Areas, volumes and outlines against closed forms and slow sums."""

import numpy as np
import pytest
from scipy import stats

from shared.phantoms.shapes import (
    pixel_grid,
    random_outline,
    random_outlines,
    soft_edge,
    soft_ellipse,
    star_body,
    star_radius,
)

CIRCLE = np.empty((0, 2))


def test_pixel_grid_moves_the_origin_to_the_offset():
    y, x = pixel_grid((5, 7), 0.5, offset=(1.0, -2.0))
    assert y.shape == (5, 1)
    assert x.shape == (1, 7)
    assert y[3, 0] == 0.0  # middle row 2, one further down
    assert x[0, 1] == 0.0
    np.testing.assert_allclose(np.diff(x[0]), 0.5)


@pytest.mark.parametrize("axial_ratio", [1.0, 0.6])
def test_a_circular_body_is_an_ellipsoid(axial_ratio):
    y, x = pixel_grid((120, 120), 0.1)
    body = star_body(y, x, 5.0, CIRCLE, axial_ratio)
    assert body.sum() * 0.1**2 == pytest.approx(4 / 3 * np.pi * 5**3 * axial_ratio, rel=1e-3)
    assert body.max() == pytest.approx(10 * axial_ratio, rel=1e-3)
    assert (body > 0).sum() * 0.1**2 == pytest.approx(np.pi * 25, rel=5e-3)


def test_star_radius_is_the_fourier_sum():
    coefficients = np.array([[0.1, -0.05], [0.02, 0.03], [0.0, 0.01]])
    for angle in np.linspace(-3, 3, 7):
        expected = 1.0
        for m, (a, b) in zip((2, 3, 4), coefficients, strict=True):
            expected += a * np.cos(m * angle) + b * np.sin(m * angle)
        assert star_radius(angle, coefficients) == pytest.approx(expected, abs=1e-12)


def test_outline_never_crosses_itself():
    assert star_radius(np.linspace(0, 6.28, 100), np.array([[3.0, 0.0]])).min() == 0.2


def test_roughness_is_the_expected_deviation_of_the_radius():
    rng, angle = np.random.default_rng(0), np.linspace(0, 2 * np.pi, 64, endpoint=False)
    variance = [np.mean((star_radius(angle, random_outline(rng, 0.03)) - 1) ** 2) for _ in range(2000)]
    assert np.sqrt(np.mean(variance)) == pytest.approx(0.03, rel=0.03)


def test_elongation_stretches_the_second_harmonic():
    coefficients = random_outline(np.random.default_rng(0), 0.0, elongation=0.1)
    assert np.linalg.norm(coefficients[0]) == pytest.approx(0.1)
    assert not coefficients[1:].any()


def test_soft_ellipse_has_the_area_and_the_half_height_of_the_ellipse():
    y, x = pixel_grid((200, 200), 0.1)
    ellipse = soft_ellipse(y, x, (6.0, 3.0), angle=0.7, edge=0.2)
    assert ellipse.sum() * 0.1**2 == pytest.approx(np.pi * 18, rel=0.01)
    on_outline = soft_ellipse(6 * np.sin(0.7), 6 * np.cos(0.7), (6.0, 3.0), angle=0.7)
    assert on_outline == pytest.approx(0.5, abs=1e-9)
    # one standard deviation inside along the first axis: Φ(1)
    assert soft_ellipse(0.0, 5.8, (6.0, 3.0), edge=0.2) == pytest.approx(0.8413, abs=1e-3)


def test_soft_ellipse_refuses_an_empty_ellipse():
    with pytest.raises(ValueError, match="must be positive"):
        soft_ellipse(0.0, 0.0, (0.0, 1.0))


def test_many_outlines_are_like_single_ones():
    rng = np.random.default_rng(0)
    many = random_outlines(rng, 4000, 0.1, harmonics=5, decay=1.5)
    single = np.stack([random_outline(rng, 0.1, harmonics=5, decay=1.5) for _ in range(4000)], axis=-1)
    assert many.shape == single.shape == (4, 2, 4000)
    np.testing.assert_allclose(many.std(axis=-1), single.std(axis=-1), rtol=0.1)
    angle = np.linspace(0, 2 * np.pi, 60).reshape(6, 10)
    radii = star_radius(angle, many[:, :, :3, None, None])
    for index in range(3):
        np.testing.assert_allclose(radii[index], star_radius(angle, many[:, :, index]), atol=1e-12)


def test_soft_edge_is_a_blurred_step():
    distance = np.linspace(-3, 3, 61)
    np.testing.assert_allclose(soft_edge(distance, 0.7), stats.norm.sf(distance / 0.7), atol=1e-12)
    assert soft_edge(distance.astype(np.float32), 0.7).dtype == np.float32
