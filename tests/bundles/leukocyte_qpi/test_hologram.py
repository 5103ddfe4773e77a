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
def scripts(bundle_scripts):
    return bundle_scripts("leukocyte_qpi")


@pytest.fixture(scope="module")
def hologram(scripts):
    return scripts("hologram")


@pytest.fixture(scope="module")
def reader(hologram):
    return hologram.HologramReader("^(?P<donor>[^_]+)", classes=["monocyte"], outlier_kinds=["empty"])


def _interference(phase, shape=(160, 160)):
    """Intensity of object beam and tilted reference beam: 1 + cos(k·x + φ)."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    return 1 + np.cos(2 * np.pi * (0.2 * columns - 0.25 * rows) + phase)


def _cell(height=7.0):
    rows, columns = np.mgrid[:160, :160] - 80
    return height * np.exp(-(rows**2 + columns**2) / (2 * 18.0**2))


def _flat(scripts, phase, order=1):
    return scripts("preprocessing").subtract_polynomial(phase, order)


def test_the_phase_of_a_synthetic_hologram_is_found_and_unwrapped(scripts, hologram):
    cell = _cell()
    found = _flat(scripts, hologram.phase_from_hologram(_interference(cell), _interference(0 * cell)))
    assert found.shape == cell.shape
    assert found.dtype == np.float32
    sign = np.sign(found[80, 80])
    inner = np.s_[15:-15, 15:-15]
    error = (sign * found - (cell - cell[:20, :20].mean()))[inner]
    assert np.abs(error).max() < 0.25
    assert cell.max() > 2 * np.pi

    inverted = hologram.phase_from_hologram(_interference(cell), _interference(0 * cell), invert_phase=True)
    np.testing.assert_allclose(_flat(scripts, inverted)[80, 80], -found[80, 80], atol=0.05)


def test_a_side_band_can_be_chosen(scripts, hologram):
    """The two have the same phase but for its sign."""
    cell = _cell()
    pair = _interference(cell), _interference(0 * cell)
    one, other = (
        _flat(scripts, hologram.phase_from_hologram(*pair, sideband=place))[80, 80]
        for place in ((-0.25, 0.2), (0.25, -0.2))
    )
    assert abs(one) == pytest.approx(7, abs=0.25)
    assert other == pytest.approx(-one, abs=0.05)


def test_the_background_takes_aberrations_away(scripts, hologram):
    rows, columns = np.mgrid[:160, :160] / 160 - 0.5
    aberration = 3 * rows**2 + 2 * rows * columns
    with_background, without, clean = (
        _flat(scripts, hologram.phase_from_hologram(*images), 0)
        for images in (
            (_interference(_cell() + aberration), _interference(aberration)),
            (_interference(_cell() + aberration),),
            (_interference(_cell()), _interference(0 * aberration)),
        )
    )
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


def test_frames_of_a_file(hologram, reader, tmp_path):
    images = [_interference(_cell(height)) for height in (3, 5)]
    background = _interference(0 * _cell())
    np.savez(tmp_path / "stack.npz", data=np.stack([*images, np.ones((160, 160))]), bg_data=background)
    np.savez(tmp_path / "single.npz", data=images[1], bg_data=background)
    excluded = []
    with reader.open(tmp_path / "stack.npz") as opened:
        assert opened.names == ["00001", "00002", "00003"]
        frames = list(opened.frames(excluded))
    assert [frame.name for frame in frames] == ["00001", "00002"]
    for frame, image in zip(frames, images, strict=True):
        np.testing.assert_array_equal(frame.phase, hologram.phase_from_hologram(image, background))
        assert frame.truth is None
    assert [(item.source, item.item) for item in excluded] == [("stack.npz", "00003")]
    with reader.open(tmp_path / "single.npz") as opened:
        np.testing.assert_array_equal(opened.read("00001").phase, frames[1].phase)


def test_files_without_background_or_with_other_names(hologram, reader, tmp_path):
    np.savez(tmp_path / "h.npz", data=_interference(_cell()))
    with pytest.raises(DataError, match="no array 'bg_data', found data"):
        reader.open(tmp_path / "h.npz").__enter__()
    alone = hologram.HologramReader("^(?P<donor>.)", classes=[], background_key=None)
    with alone.open(tmp_path / "h.npz") as opened:
        np.testing.assert_array_equal(opened.read("00001").phase, hologram.phase_from_hologram(_interference(_cell())))
    np.savez(tmp_path / "h.npz", data=np.ones(3), bg_data=np.ones(3))
    with pytest.raises(DataError, match=r"h\.npz: 'data' has shape \(3,\), expected \(H, W\) or \(F, H, W\)"):
        reader.open(tmp_path / "h.npz").__enter__()


def test_class_donor_and_name_from_the_path(reader):
    found = reader.identify("/x/monocyte/day1/D3_7.npz")
    assert (found.donor, found.label, found.kind) == ("D3", "monocyte", None)
    assert reader.name("/x/monocyte/day1/D3_7.npz") == "monocyte_D3_7"
    found = reader.identify("empty/D3_7.npz")
    assert (found.donor, found.label, found.kind) == ("D3", None, "empty")
    assert reader.name("/x/D3_7.npz") == "D3_7"
    with pytest.raises(DataError, match="in no folder of a class, expected one of monocyte, empty above the file"):
        reader.identify("/x/D3_7.npz")


def test_a_single_file_is_a_hologram_if_it_holds_one(reader, tmp_path):
    for name, key in (("a", "data"), ("b", "images")):
        np.savez(tmp_path / f"{name}.npz", **{key: np.ones(3)})
    assert reader.list_files(tmp_path / "a.npz") == [tmp_path / "a.npz"]
    assert reader.list_files(tmp_path / "b.npz") == []
    assert reader.list_files(tmp_path) == [tmp_path / "a.npz", tmp_path / "b.npz"]


@pytest.mark.skipif(not REAL.is_file(), reason="the real hologram is not part of the repository")
def test_a_real_cell_stands_out_of_a_flat_background(scripts, reader):
    with reader.open(REAL) as opened:
        phase = _flat(scripts, opened.read("00001").phase)
    border = np.concatenate([phase[:15].ravel(), phase[-15:].ravel(), phase[:, :15].ravel(), phase[:, -15:].ravel()])
    assert abs(np.median(border)) < 0.15
    assert border.std() < 0.2
    assert 3.5 < np.median(phase[85:115, 90:120]) < 5.5
