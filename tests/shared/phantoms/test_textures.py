"""Random fields against their covariance; granules against their volume."""

import numpy as np
import pytest
from scipy.spatial.distance import pdist
from scipy.stats import kstest

from shared.phantoms.textures import gaussian_random_field, render_granules, scatter_in_ball


def test_field_has_unit_variance_and_a_gaussian_correlation():
    rng, length = np.random.default_rng(0), 4.0
    fields = np.stack([gaussian_random_field((96, 128), length, rng) for _ in range(60)])
    assert abs(fields.mean()) < 1e-6
    assert fields.var() == pytest.approx(1, abs=0.04)
    for lag in (2, 4, 8):
        for axis in (1, 2):
            correlation = np.mean(fields * np.roll(fields, lag, axis=axis))
            assert correlation == pytest.approx(np.exp(-(lag**2) / (2 * length**2)), abs=0.04)


def test_longest_takes_out_slow_structure():
    rng = np.random.default_rng(0)
    plain = gaussian_random_field((128, 128), 2.0, rng)
    band = gaussian_random_field((128, 128), 2.0, rng, longest_px=6.0)
    slow = np.zeros((128, 128), bool)
    slow[:3, :3] = True
    power = [np.abs(np.fft.fft2(field))[slow].mean() for field in (plain, band)]
    assert power[1] < 0.3 * power[0]
    assert band.var() == pytest.approx(1, abs=0.1)


def test_points_are_uniform_in_the_ball():
    radius = np.linalg.norm(scatter_in_ball(np.random.default_rng(0), 4000), axis=1)
    assert kstest(radius**3, "uniform").pvalue > 0.01


def test_poisson_disc_keeps_points_apart():
    points = scatter_in_ball(np.random.default_rng(0), 60, separation=0.25)
    assert len(points) == 60
    assert pdist(points).min() >= 0.25
    crowded = scatter_in_ball(np.random.default_rng(0), 60, separation=1.2)
    assert 2 <= len(crowded) < 20


def test_no_points():
    assert scatter_in_ball(np.random.default_rng(0), 0).shape == (0, 3)


@pytest.mark.parametrize("radius", [0.2, 0.9, 3.0])
def test_granules_keep_their_volume_at_any_position(radius):
    rng = np.random.default_rng(0)
    rows, columns = rng.uniform(15, 25, (2, 6))
    thickness, covered = render_granules((40, 40), rows, columns, np.full(6, radius))
    assert thickness.sum() == pytest.approx(6 * 4 / 3 * np.pi * radius**3)
    assert (thickness[covered] > 0).all()
    weight = thickness / thickness.sum()
    assert (weight.sum(axis=1) @ np.arange(40)) == pytest.approx(rows.mean(), abs=0.15)
    assert (weight.sum(axis=0) @ np.arange(40)) == pytest.approx(columns.mean(), abs=0.15)


def test_a_large_granule_is_a_sphere_and_the_border_cuts():
    thickness, covered = render_granules((31, 31), np.array([15.0]), np.array([15.0]), np.array([8.0]))
    assert thickness[15, 15] == pytest.approx(16, rel=0.02)
    assert thickness[15, 21] == pytest.approx(2 * np.sqrt(64 - 36), rel=0.03)
    assert covered.sum() == pytest.approx(np.pi * 64, rel=0.05)
    cut, _ = render_granules((31, 31), np.array([-0.5]), np.array([15.0]), np.array([8.0]))
    assert cut.sum() == pytest.approx(thickness.sum() / 2, rel=0.02)


def test_many_fields_at_once_are_independent_and_like_one():
    one = gaussian_random_field((64, 48), 2.0, np.random.default_rng(0))
    first = gaussian_random_field((1, 64, 48), 2.0, np.random.default_rng(0))
    np.testing.assert_allclose(first[0], one, atol=1e-6)
    many = gaussian_random_field((40, 64, 48), 2.0, np.random.default_rng(1))
    assert many.var() == pytest.approx(1, abs=0.05)
    correlation = np.corrcoef(many.reshape(40, -1))
    assert np.abs(correlation[~np.eye(40, dtype=bool)]).mean() < 0.1
