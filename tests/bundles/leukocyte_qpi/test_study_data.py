"""The study's data: the stand-in as phases, and splits that leave each cell out exactly once."""

from __future__ import annotations

import numpy as np
import pytest

from shared.data.datalist import load_section
from shared.data.errors import DataError

CLASSES = ("monocyte", "lymphocyte", "neutrophil", "eosinophil")


@pytest.fixture(scope="module")
def stand_in(bundle_scripts):
    return bundle_scripts("leukocyte_qpi")("study.stand_in")


@pytest.fixture(scope="module")
def splits(bundle_scripts):
    return bundle_scripts("leukocyte_qpi")("study.splits")


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
    sections = {"training": np.array([4, 0]), "validation": np.array([1]), "test": np.array([5])}
    stand_in.write_split(tmp_path / "split", tmp_path / "crops", cells, sections)
    records = load_section(tmp_path / "split" / "datalist.json", "training")
    assert [(record["id"], record["label"]) for record in records] == [("b_2", 2), ("a_1", 2)]
    np.testing.assert_array_equal(np.load(records[0]["image"]), stand_in.subtract_level(cells.phase)[4])


@pytest.fixture(scope="module")
def population():
    rng = np.random.default_rng(0)
    labels = np.concatenate([rng.choice(4, 300, p=[0.1, 0.2, 0.5, 0.2]), np.repeat(np.arange(4), 10)])
    return labels, np.where(rng.random(len(labels)) < 0.4, "a", "b")


@pytest.mark.parametrize("folds", [2, 4])
def test_each_cell_is_held_out_exactly_once(splits, population, folds):
    labels, sources = population
    parts = splits.cross_validation(labels, sources, folds, 0.25, seed=3)
    held_out = np.concatenate([part.test for part in parts])
    assert len(parts) == folds
    np.testing.assert_array_equal(np.sort(held_out), np.arange(len(labels)))
    for part in parts:
        together = np.concatenate(part)
        np.testing.assert_array_equal(np.sort(together), np.arange(len(labels)))
        assert len(part.validation) == pytest.approx(0.25 * (len(part.training) + len(part.validation)), abs=1)
        for k in range(4):
            assert (labels[part.test] == k).sum() == pytest.approx((labels == k).sum() / folds, abs=2)
            assert (labels[part.validation] == k).any()


def test_partitions_differ_by_seed_alone(splits, population):
    first, again, other = (splits.cross_validation(*population, 4, 0.25, seed)[0] for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.training, again.training)
    assert not np.array_equal(first.test, other.test)


def test_a_class_too_small_for_the_folds_is_refused(splits):
    labels = np.array([0] * 20 + [1] * 3)
    with pytest.raises(DataError, match="only 3 cells"):
        splits.cross_validation(labels, np.array(["a"] * 23), 4, 0.25, seed=0)


def test_a_source_is_left_out_as_a_whole(splits, population):
    labels, sources = population
    parts = splits.leave_one_source_out(labels, sources, 0.25, seed=0)
    assert set(parts) == {"a", "b"}
    for name, part in parts.items():
        np.testing.assert_array_equal(part.test, np.flatnonzero(sources == name))
        assert not np.any(sources[np.concatenate([part.training, part.validation])] == name)
        assert not set(part.training) & set(part.validation)
    with pytest.raises(DataError, match="at least two sources"):
        splits.leave_one_source_out(labels, np.array(["a"] * len(labels)), 0.25, seed=0)
