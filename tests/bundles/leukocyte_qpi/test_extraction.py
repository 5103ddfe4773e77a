from __future__ import annotations

import h5py
import numpy as np
import pytest

from shared.data.errors import DataError
from shared.data.file_names import safe_name

PIXEL = 0.36


@pytest.fixture(scope="module")
def scripts(bundle_scripts):
    return bundle_scripts("leukocyte_qpi")


@pytest.fixture(scope="module")
def make(scripts):
    """An extraction for frames of 120 × 160 and crops of 40."""

    def build(method="polynomial", **changes):
        tokens = {"_Mon_": "monocyte"}, {"_Emp_": "empty", "_Agg_": "aggregate", "_Thr_": "thrombocyte"}
        settings = {
            "reader": scripts("recordings").RecordingReader(r"^(?P<donor>[^_]+)_", *tokens, (120, 160)),
            "background": scripts("preprocessing").SubtractBackground(method, minimum_frames=3, order=1),
            "segmentation": scripts("segmentation").Segmentation(PIXEL, threshold_rad=1.0),
            "optics": scripts("physics").Optics(528.0, PIXEL, 0.19),
            "crop_size": 40,
        }
        return scripts("extraction").CellExtraction(**{**settings, **changes})

    return build


def test_crop_position_values_truth_and_quantities(make, write_recording, tmp_path):
    path = write_recording(tmp_path / "D01_Mon_001.phase", [[(50, 60, 14), (70, 120, 10)]], truth=True)
    result = make().extract(path, tmp_path, label="monocyte")
    assert result.excluded == []
    assert [record["id"] for record in result.records] == ["D01_Mon_001/00001/00", "D01_Mon_001/00001/01"]
    with h5py.File(path) as file:
        frame, truth = file["image/00001"][()], file["truth/00001"][()]
    for record, (row, column, radius) in zip(result.records, [(50, 60, 14), (70, 120, 10)], strict=True):
        assert (record["row"], record["column"]) == (row, column)
        crop, bits = np.load(tmp_path / record["image"]), np.load(tmp_path / record["truth"])
        assert crop.shape == (40, 40)
        assert crop.dtype == np.float32
        window = np.s_[row - 20 : row + 20, column - 20 : column + 20]
        rows, columns = np.mgrid[:120, :160]
        np.testing.assert_allclose(crop, (frame - 0.002 * columns + 0.001 * rows)[window], atol=0.01)
        np.testing.assert_array_equal(bits, truth[window])
        area = np.pi * radius**2 * PIXEL**2
        assert record["area_um2"] == pytest.approx(area, rel=0.03)
        # 2 rad are 0.528/π µm of optical path
        assert record["dry_mass_pg"] == pytest.approx(0.528 / np.pi * area / 0.19, rel=0.03)
        assert record["opd_peak_nm"] == pytest.approx(528 / np.pi, rel=0.06)
        assert record["source"] == "D01_Mon_001.phase"
        assert record["frame"] == "00001"
        assert record["touching"] is False
    assert not list(tmp_path.glob("*/.*partial"))


def test_cut_close_and_touching_cells_are_left_out_with_their_reason(make, write_recording, tmp_path):
    discs = [(2, 60, 14), (18, 110, 14), (70, 40, 12), (70, 62, 12), (90, 120, 14)]
    path = write_recording(tmp_path / "D01_Mon_001.phase", [discs])
    result = make().extract(path, tmp_path, label="monocyte")
    assert [(record["row"], record["column"]) for record in result.records] == [(90, 120)]
    reasons = {item.item: item.reason for item in result.excluded}
    assert reasons["00001 at row 18, column 110"].startswith("closer than 20 px to the border")
    assert reasons["00001 at row 70, column 51"] == "2 touching cells"
    assert [reason for item, reason in reasons.items() if "row 7," in item or "row 6," in item] == [
        "cut by the border of the frame"
    ]
    kept = make(exclude_touching=False).extract(path, tmp_path, label="monocyte").records
    assert [record["touching"] for record in kept] == [True, False]
    assert [record["touching"] for record in make().extract(path, tmp_path).records] == [True, False]


def test_outlier_kinds_have_their_own_limits(make, write_recording, tmp_path):
    discs = [(50, 40, 5), (60, 110, 10), (60, 134, 10)]
    path = write_recording(tmp_path / "D01_Agg_001.phase", [discs])
    apart = make().extract(path, tmp_path, kind="aggregate")
    assert [(record["row"], record["column"]) for record in apart.records] == [(60, 110), (60, 134)]
    limits = {"outlier_min_area_um2": {"aggregate": 3.0}, "merge_distance_um": {"aggregate": 3.0}}
    joined = make(**limits).extract(path, tmp_path, kind="aggregate")
    assert [(record["row"], record["column"]) for record in joined.records] == [(50, 40), (60, 122)]
    assert [record["touching"] for record in joined.records] == [False, True]
    # one object: the mask holds both discs
    assert joined.records[1]["area_um2"] == pytest.approx(sum(r["area_um2"] for r in apart.records), rel=0.01)


def test_empty_recordings_give_seeded_crops_that_avoid_objects(make, write_recording, tmp_path):
    path = write_recording(tmp_path / "D01_Emp_001.phase", [[], [(60, 80, 14)]], truth=True)
    extraction = make(empty_crops_per_frame=5)
    records = extraction.extract(path, tmp_path, kind="empty").records
    assert len(records) == 10
    for record in records:
        assert record["area_um2"] == record["dry_mass_pg"] == 0
        assert not np.load(tmp_path / record["truth"]).any()
        assert 20 <= record["row"] <= 100
        assert 20 <= record["column"] <= 140
    assert records == extraction.extract(path, tmp_path, kind="empty").records
    other = make(empty_crops_per_frame=5, seed=1).extract(path, tmp_path, kind="empty").records
    assert [r["row"] for r in other] != [r["row"] for r in records]


def test_full_field_gives_no_empty_crop(make, write_recording, tmp_path):
    discs = [(row, column, 9) for row in range(15, 120, 30) for column in range(15, 160, 30)]
    path = write_recording(tmp_path / "D01_Emp_001.phase", [discs])
    assert make().extract(path, tmp_path, kind="empty").records == []


def test_limit_of_cells_is_a_seeded_choice_over_all_frames(make, write_recording, tmp_path):
    frames = [[(40, 40 + n, 12), (80, 110 - n, 12)] for n in range(8)]
    path = write_recording(tmp_path / "D01_Mon_001.phase", frames)
    records = make(max_cells_per_recording=5).extract(path, tmp_path, label="monocyte").records
    assert len(records) == 5
    assert len({record["frame"] for record in records}) > 2
    files = {file.relative_to(tmp_path).as_posix() for file in (tmp_path / "crops").rglob("*.npy")}
    assert files == {record["image"] for record in records}
    assert records == make(max_cells_per_recording=5).extract(path, tmp_path, label="monocyte").records


def test_median_background_takes_a_fixed_pattern_away(make, write_recording, tmp_path):
    frames = [[(40, 35 + 15 * n, 12)] for n in range(5)]
    path = write_recording(tmp_path / "D01_Mon_001.phase", frames)
    rows, columns = np.mgrid[:120, :160]
    pattern = 0.4 * np.sin(columns / 3) * np.sin(rows / 3)
    with h5py.File(path, "r+") as file:
        for name in file["image"]:
            file[f"image/{name}"][...] += pattern
    outside = {}
    for method in ("median", "polynomial", "auto"):
        (record, *_) = make(method).extract(path, tmp_path, label="monocyte").records
        crop = np.load(tmp_path / record["image"])
        outside[method] = crop[np.hypot(*(np.mgrid[:40, :40] - 20)) > 16].std()
    assert outside["median"] < 0.07 < 0.15 < outside["polynomial"]
    assert outside["auto"] == outside["median"]


def test_median_of_too_few_frames_is_refused_with_the_recordings_name(make, write_recording, tmp_path):
    path = write_recording(tmp_path / "D01_Mon_001.phase", [[], []])
    with pytest.raises(DataError, match=r"D01_Mon_001\.phase: 2 usable frame\(s\)"):
        make("median").extract(path, tmp_path)


def test_nothing_half_done_stays_after_a_failure(make, write_recording, tmp_path, scripts, monkeypatch):
    path = write_recording(tmp_path / "D01_Mon_001.phase", [[(60, 80, 14)]] * 3)
    before = make().extract(path, tmp_path, label="monocyte").records
    calls = []
    original = scripts("physics").Optics.measure

    def fails_later(self, phase, mask):
        calls.append(1)
        if len(calls) == 3:
            raise RuntimeError("power cut")
        return original(self, phase, mask)

    monkeypatch.setattr(scripts("physics").Optics, "measure", fails_later)
    with pytest.raises(RuntimeError, match="power cut"):
        make().extract(path, tmp_path, label="monocyte")
    assert sorted(p.name for p in (tmp_path / "crops").iterdir()) == [safe_name("D01_Mon_001")]
    assert all((tmp_path / record["image"]).is_file() for record in before)


def test_truth_of_neighbours_is_taken_out_and_marks_stay(scripts):
    truth = np.zeros((20, 20), np.uint8)
    truth[2:9, 2:9] = 1
    truth[4:6, 4:6] |= 2 | 8
    truth[12:18, 12:18] = 1
    truth[14, 14] |= 2 | 4 | 8 | 16
    truth[0, 19] = 32
    mask = np.zeros((20, 20), bool)
    mask[3:8, 3:8] = True
    own = scripts("extraction").own_truth(truth, mask)
    expected = truth.copy()
    expected[12:18, 12:18] = 0
    expected[14, 14] = 16
    np.testing.assert_array_equal(own, expected)
    # touching the object counts as own, and an empty mask owns nothing
    mask[12, 12] = True
    np.testing.assert_array_equal(scripts("extraction").own_truth(truth, mask), truth)
    assert set(np.unique(scripts("extraction").own_truth(truth, np.zeros_like(mask)))) == {0, 16, 32}


def test_quantities_of_a_crop_are_those_of_the_object_in_its_middle(make):
    rows, columns = np.mgrid[:40, :40]
    crop = np.zeros((40, 40), np.float32)
    crop[np.hypot(rows - 21, columns - 19) <= 9] = 2.0
    crop[np.hypot(rows - 0, columns - 39) <= 9] = 4.0
    measured = make().measure_crop(crop)
    assert measured["area_um2"] == pytest.approx(np.pi * 81 * PIXEL**2, rel=0.04)
    assert measured["opd_peak_nm"] == pytest.approx(528 / np.pi, rel=1e-3)
    assert make().measure_crop(np.zeros((40, 40), np.float32))["area_um2"] == 0
