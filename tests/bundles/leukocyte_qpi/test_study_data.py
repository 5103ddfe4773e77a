"""The study's data: the stand-in as phases, and as a data list."""

from __future__ import annotations

import numpy as np
import pytest

from shared.data.datalist import load_section
from shared.data.errors import DataError
from shared.study.splits import Split

CLASSES = ("monocyte", "lymphocyte", "neutrophil", "eosinophil")


@pytest.fixture(scope="module")
def stand_in(bundle_scripts):
    return bundle_scripts("leukocyte_qpi")("study.stand_in")


def write_npz(folder, **changes):
    """Six crops of flat grey: 0, 51, …, 255."""
    grey = np.arange(6) * 51
    content = {
        "id": np.array(["1", "2", "3", "1", "2", "3"]),
        "rgb": np.broadcast_to(grey[:, None, None, None], (6, 64, 64, 3)).astype(np.uint8),
        "label": np.array(["neutrophil", "monocyte", "eosinophil", "lymphocyte", "neutrophil", "monocyte"]),
        "source": np.array(["a", "a", "a", "b", "b", "b"]),
    } | changes
    np.savez(folder / "wbc_crops.npz", **{key: value for key, value in content.items() if value is not None})


def test_black_becomes_the_peak_and_white_becomes_zero(stand_in, tmp_path):
    write_npz(tmp_path)
    cells = stand_in.read_cells(tmp_path, CLASSES, peak=6.0)
    assert cells.phase.shape == (6, 50, 50)
    np.testing.assert_allclose(cells.phase.mean(axis=(1, 2)), 6 * (1 - np.arange(6) / 5), atol=1e-5)
    np.testing.assert_array_equal(cells.labels, [2, 0, 3, 1, 2, 0])
    assert cells.ids.tolist() == ["a_1", "a_2", "a_3", "b_1", "b_2", "b_3"]


def test_green_weighs_more_than_blue(stand_in, tmp_path):
    rgb = np.zeros((6, 64, 64, 3), np.uint8)
    rgb[0, ..., 1] = rgb[1, ..., 2] = 255
    write_npz(tmp_path, rgb=rgb)
    phase = stand_in.read_cells(tmp_path, CLASSES, peak=1.0).phase
    # luminance weights of ITU-R BT.709
    np.testing.assert_allclose(phase[:3, 25, 25], [1 - 0.7154, 1 - 0.0721, 1], atol=1e-3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"label": np.array(["basophil"] * 6)}, "unknown classes.*basophil"),
        ({"source": None}, "no array.*source"),
        ({"source": np.array(["a"] * 6)}, "occurs twice"),
        ({"rgb": np.zeros((5, 64, 64, 3), np.uint8)}, "expected images"),
    ],
)
def test_data_that_do_not_fit_are_refused(stand_in, tmp_path, changes, message):
    write_npz(tmp_path, **changes)
    with pytest.raises(DataError, match=message):
        stand_in.read_cells(tmp_path, CLASSES, peak=6.0)


def test_missing_and_damaged_files_are_named(stand_in, tmp_path):
    with pytest.raises(DataError, match="no such file"):
        stand_in.read_cells(tmp_path, CLASSES, peak=6.0)
    (tmp_path / "wbc_crops.npz").write_bytes(b"PK\x03\x04 cut")
    with pytest.raises(DataError, match="not a readable npz"):
        stand_in.read_cells(tmp_path, CLASSES, peak=6.0)


def test_the_level_is_the_lightest_twentieth(stand_in):
    phase = np.linspace(1, 3, 2500, dtype=np.float32).reshape(1, 50, 50)
    np.testing.assert_allclose(stand_in.subtract_level(phase).min(), -0.1, atol=1e-3)


def test_a_split_is_read_back_by_the_bundles_own_reader(stand_in, tmp_path):
    write_npz(tmp_path)
    cells = stand_in.read_cells(tmp_path, CLASSES, peak=6.0)
    stand_in.write_crops(tmp_path / "crops", cells)
    split = Split(np.array([4, 0]), np.array([1]), np.array([5]))
    stand_in.write_split(tmp_path / "split", tmp_path / "crops", cells, split)
    records = load_section(tmp_path / "split" / "datalist.json", "training")
    assert [(record["id"], record["label"]) for record in records] == [("b_2", 2), ("a_1", 2)]
    np.testing.assert_array_equal(np.load(records[0]["image"]), stand_in.subtract_level(cells.phase)[4])


def test_a_stratum_is_a_class_of_a_source(stand_in, tmp_path):
    write_npz(tmp_path)
    cells = stand_in.read_cells(tmp_path, CLASSES, peak=6.0)
    assert cells.strata.tolist()[:2] == ["class 2 of a", "class 0 of a"]
    assert cells.strata.tolist()[3:5] == ["class 1 of b", "class 2 of b"]
