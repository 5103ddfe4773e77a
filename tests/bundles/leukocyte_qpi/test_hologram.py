"""A synthetic hologram of a known phase, and a real one if it is at hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from shared.data.errors import DataError

pytest.importorskip("qpimage", reason="qpimage is optional")
pytestmark = pytest.mark.filterwarnings("ignore")

REAL = Path(__file__).resolve().parents[4] / "shared" / "data" / "hologram" / "hologram_cell.npz"


@pytest.fixture(scope="module")
def hologram(bundle_scripts):
    return bundle_scripts("leukocyte_qpi")("hologram")


def _interference(phase, shape=(160, 160)):
    """Intensity of object beam and tilted reference beam: 1 + cos(k·x + φ)."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    return 1 + np.cos(2 * np.pi * (0.2 * columns - 0.25 * rows) + phase)


def _cell(height=7.0):
    rows, columns = np.mgrid[:160, :160] - 80
    return height * np.exp(-(rows**2 + columns**2) / (2 * 18.0**2))


def test_the_phase_of_a_synthetic_hologram_is_found_and_unwrapped(hologram):
    cell = _cell()
    found = hologram.phase_from_hologram(_interference(cell), _interference(0 * cell), background_order=1)
    assert found.shape == cell.shape
    assert found.dtype == np.float32
    sign = np.sign(found[80, 80])
    inner = np.s_[15:-15, 15:-15]
    error = (sign * found - (cell - cell[:20, :20].mean()))[inner]
    assert np.abs(error).max() < 0.25
    assert cell.max() > 2 * np.pi

    inverted = hologram.phase_from_hologram(_interference(cell), _interference(0 * cell), invert_phase=True)
    np.testing.assert_allclose(inverted[80, 80], -found[80, 80], atol=0.05)


def test_the_background_takes_aberrations_away(hologram):
    rows, columns = np.mgrid[:160, :160] / 160 - 0.5
    aberration = 3 * rows**2 + 2 * rows * columns
    options = {"background_order": 0}
    with_background = hologram.phase_from_hologram(
        _interference(_cell() + aberration), _interference(aberration), **options
    )
    without = hologram.phase_from_hologram(_interference(_cell() + aberration), **options)
    clean = hologram.phase_from_hologram(_interference(_cell()), _interference(0 * aberration), **options)
    inner = np.s_[15:-15, 15:-15]
    assert np.abs(with_background - clean)[inner].max() < 0.1
    assert np.abs(without - clean)[inner].max() > 0.4


def test_bad_holograms(hologram):
    good = _interference(_cell())
    with pytest.raises(DataError, match=r"background of the hologram has shape 5 x 5, expected 160 x 160"):
        hologram.phase_from_hologram(good, good[:5, :5])
    with pytest.raises(DataError, match="hologram is constant"):
        hologram.phase_from_hologram(np.ones((50, 50)))
    with pytest.raises(DataError, match=r"expected one image \(H, W\)"):
        hologram.phase_from_hologram(np.stack([good, good]))


def test_reading(hologram, tmp_path):
    np.savez(tmp_path / "h.npz", data=_interference(0), bg_data=_interference(1))
    data, background = hologram.read_hologram(tmp_path / "h.npz")
    np.testing.assert_array_equal(data, _interference(0))
    np.testing.assert_array_equal(background, _interference(1))
    assert hologram.read_hologram(tmp_path / "h.npz", background_key=None)[1] is None
    with pytest.raises(DataError, match="no array 'cells', found data, bg_data"):
        hologram.read_hologram(tmp_path / "h.npz", "cells")


@pytest.mark.skipif(not REAL.is_file(), reason="the real hologram is not part of the repository")
def test_a_real_cell_stands_out_of_a_flat_background(hologram):
    phase = hologram.phase_from_hologram(*hologram.read_hologram(REAL))
    border = np.concatenate([phase[:15].ravel(), phase[-15:].ravel(), phase[:, :15].ravel(), phase[:, -15:].ravel()])
    assert abs(np.median(border)) < 0.15
    assert border.std() < 0.2
    assert 3.5 < np.median(phase[85:115, 90:120]) < 5.5
