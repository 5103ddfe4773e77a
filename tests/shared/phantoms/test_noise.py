"""Noise and background against simulation and numpy's polynomials."""

import numpy as np
import pytest

from shared.phantoms.noise import coherent_noise, polynomial_background, random_background, shot_noise_std, white_noise


@pytest.mark.parametrize(("photons", "visibility"), [(2000, 0.5), (6000, 0.9)])
def test_shot_noise_of_a_simulated_fringe(photons, visibility):
    rng = np.random.default_rng(0)
    carrier = 2 * np.pi * np.arange(64) * 8 / 64
    counts = rng.poisson(photons / 64 * (1 + visibility * np.cos(carrier + 0.7)), (20000, 64))
    phase = np.angle(counts @ np.exp(-1j * carrier))
    assert phase.mean() == pytest.approx(0.7, abs=0.005)
    assert phase.std() == pytest.approx(shot_noise_std(photons, visibility), rel=0.03)


@pytest.mark.parametrize(("photons", "visibility"), [(0, 0.5), (10, 0), (10, 1.5)])
def test_shot_noise_refuses_what_cannot_be(photons, visibility):
    with pytest.raises(ValueError, match="photons must be positive"):
        shot_noise_std(photons, visibility)


def test_white_and_coherent_noise_have_their_deviation_and_grain():
    rng = np.random.default_rng(0)
    white, coherent = white_noise((256, 256), 0.07, rng), coherent_noise((256, 256), 0.07, 3.0, rng)
    for noise, correlation in ((white, 0.0), (coherent, np.exp(-4 / 18))):
        assert noise.std() == pytest.approx(0.07, rel=0.05)
        assert np.corrcoef(noise[:, 2:].ravel(), noise[:, :-2].ravel())[0, 1] == pytest.approx(correlation, abs=0.03)


def test_background_is_the_polynomial():
    coefficients = np.random.default_rng(0).normal(size=(3, 2))
    v, u = np.meshgrid(np.linspace(-1, 1, 5), np.linspace(-1, 1, 9), indexing="ij")
    expected = np.polynomial.polynomial.polyval2d(v, u, coefficients)
    np.testing.assert_allclose(polynomial_background((5, 9), coefficients), expected, atol=1e-12)


def test_random_background_has_the_declared_tilt_and_curvature():
    rng = np.random.default_rng(0)
    surfaces = np.stack([random_background((3, 3), rng, tilt=0.4, curvature=0.1, piston=0.2) for _ in range(8000)])
    middle, right, left = surfaces[:, 1, 1], surfaces[:, 1, 2], surfaces[:, 1, 0]
    assert middle.std() == pytest.approx(0.2, rel=0.04)
    assert ((right - left) / 2).std() == pytest.approx(0.4, rel=0.04)
    assert ((right + left) / 2 - middle).std() == pytest.approx(0.1, rel=0.04)
