"""Propagation against plane waves and the Gaussian beam."""

import numpy as np
import pytest

from shared.phantoms.optics import blur, defocus, path_to_phase, propagate
from shared.phantoms.shapes import pixel_grid, star_body

WAVELENGTH, PIXEL, MEDIUM = 0.528, 0.36, 1.337
SETTING = {"wavelength": WAVELENGTH, "pixel_size": PIXEL, "medium_index": MEDIUM}


def test_one_wavelength_of_path_is_one_turn():
    assert path_to_phase(np.array(WAVELENGTH), WAVELENGTH) == pytest.approx(2 * np.pi)


def test_blur_keeps_the_sum_and_widens_by_its_variance():
    image = np.zeros((41, 41))
    image[20, 20] = 1
    seen = blur(image, 1.08, PIXEL)  # 3 px
    offset = np.arange(41) - 20
    assert seen.sum() == pytest.approx(1, abs=1e-3)
    assert seen.sum(axis=0) @ offset**2 == pytest.approx(9, rel=0.02)


@pytest.mark.parametrize("order", [(0, 0), (3, 0), (5, -7)])
def test_a_plane_wave_gains_its_axial_phase(order):
    n, distance = 64, 12.0
    row, column = np.mgrid[:n, :n]
    wave = np.exp(2j * np.pi * (order[0] * row + order[1] * column) / n)
    lateral = 2 * np.pi * np.array(order) / (n * PIXEL)
    k = 2 * np.pi * MEDIUM / WAVELENGTH
    expected = wave * np.exp(1j * distance * (np.sqrt(k**2 - (lateral**2).sum()) - k))
    np.testing.assert_allclose(propagate(wave, distance, **SETTING), expected, atol=1e-10)


def test_a_gaussian_beam_widens_as_the_rayleigh_length_says():
    y, x = pixel_grid((256, 256), PIXEL)
    waist, distance = 4.0, 120.0
    rayleigh = np.pi * waist**2 * MEDIUM / WAVELENGTH
    intensity = np.abs(propagate(np.exp(-(x**2 + y**2) / waist**2).astype(complex), distance, **SETTING)) ** 2
    width = 2 * np.sqrt((intensity * x**2).sum() / intensity.sum())
    assert width == pytest.approx(waist * np.sqrt(1 + (distance / rayleigh) ** 2), rel=5e-3)


def test_defocus_by_nothing_is_the_object_beyond_a_whole_turn():
    y, x = pixel_grid((60, 60), PIXEL)
    phase = blur(star_body(y, x, 6.0, np.empty((0, 2))) * 0.8, 0.5, PIXEL)
    assert phase.max() > 2 * np.pi
    np.testing.assert_allclose(defocus(phase, 0.0, **SETTING), phase, atol=1e-6)


def test_defocus_spreads_the_object():
    y, x = pixel_grid((60, 60), PIXEL)
    phase = blur(star_body(y, x, 4.0, np.empty((0, 2))) * 0.3, 0.3, PIXEL)
    seen = defocus(phase, 20.0, **SETTING)
    far = np.hypot(y, x) > 5.5
    assert np.abs(phase[far]).max() < 1e-2
    assert np.abs(seen[far]).max() > 0.05
