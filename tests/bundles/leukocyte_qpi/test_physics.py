"""Closed forms: a flat disc, a sphere, and the units."""

from __future__ import annotations

import numpy as np
import pytest

PIXEL, WAVELENGTH, INCREMENT = 0.05, 528.0, 0.19


@pytest.fixture(scope="module")
def physics(bundle_scripts):
    return bundle_scripts("leukocyte_qpi")("physics")


def _distance(size=400):
    """Distance from the middle in µm."""
    rows, columns = np.mgrid[:size, :size] - (size - 1) / 2
    return np.hypot(rows, columns) * PIXEL


def test_optical_path_of_one_wave_is_one_wavelength(physics):
    np.testing.assert_allclose(physics.optical_path_difference([0, 2 * np.pi, -np.pi], 633), [0, 633, -316.5])


def test_flat_disc(physics):
    radius, thickness, index_difference = 6.0, 3.0, 0.04  # µm
    mask = _distance() <= radius
    phase = np.where(mask, 2 * np.pi * index_difference * thickness / (WAVELENGTH / 1000), 0.0)
    area = np.pi * radius**2
    assert physics.projected_area(mask, PIXEL) == pytest.approx(area, rel=2e-3)
    # concentration in pg/µm³ is (n - n0) / α (Barer), times the volume of the disc
    mass = index_difference / INCREMENT * area * thickness
    assert physics.dry_mass(phase, mask, WAVELENGTH, PIXEL, INCREMENT) == pytest.approx(mass, rel=2e-3)


def test_sphere(physics):
    radius, index_difference = 5.0, 0.03
    distance = _distance()
    thickness = 2 * np.sqrt(np.clip(radius**2 - distance**2, 0, None))
    phase = 2 * np.pi * index_difference * thickness / (WAVELENGTH / 1000)
    mass = index_difference / INCREMENT * 4 / 3 * np.pi * radius**3
    assert physics.dry_mass(phase, distance <= radius, WAVELENGTH, PIXEL, INCREMENT) == pytest.approx(mass, rel=2e-3)


def test_mass_in_grams_by_si_units(physics):
    """One pixel worked out in metres and grams."""
    phase, wavelength, pixel, increment = 1.7, 600e-9, 0.4e-6, 0.2e-3 / 1e3  # rad, m, m, m³/g (0.2 ml/g)
    grams = phase * wavelength / (2 * np.pi) * pixel**2 / increment
    assert physics.dry_mass([[phase]], [[True]], 600, 0.4, 0.2) == pytest.approx(grams * 1e12)


def test_only_the_inside_counts(physics):
    phase = np.array([[1.0, 5.0], [3.0, 9.0]], dtype=np.float32)
    mask = np.array([[True, False], [True, False]])
    optics = physics.Optics(1000 * 2 * np.pi, 1.0, 0.5)  # one radian is 1 µm
    assert optics.measure(phase, mask) == {"opd_peak_nm": 3000.0, "area_um2": 2.0, "dry_mass_pg": 8.0}
    empty = optics.measure(phase, np.zeros((2, 2), bool))
    assert empty == {"opd_peak_nm": 9000.0, "area_um2": 0.0, "dry_mass_pg": 0.0}


@pytest.mark.parametrize("values", [(0, 1, 1), (1, -1, 1), (1, 1, float("nan"))])
def test_constants_must_be_positive(physics, values):
    with pytest.raises(ValueError, match="must be a positive number"):
        physics.Optics(*values)
