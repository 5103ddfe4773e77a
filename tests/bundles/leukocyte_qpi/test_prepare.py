"""The whole way from recordings, crops and sets to a datalist."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import h5py
import numpy as np
import pandas as pd
import pytest
from monai.bundle import ConfigParser

from shared.data.datalist import load_section, read_datalist
from shared.data.errors import DataError
from shared.data.prepare_settings import read_prepare_settings, recorded_settings

TOKENS = ("Mon", "Lym", "Neu", "Eos")
SECTIONS = ("training", "validation", "test")


@pytest.fixture(scope="module")
def scripts(bundle_scripts):
    return bundle_scripts("leukocyte_qpi")


@pytest.fixture(scope="module")
def preparation(scripts, repository):
    """The preparation of the bundle's own config, for small frames."""
    scripts("prepare")
    file = repository / "bundles" / "leukocyte_qpi" / "configs" / "prepare.json"

    def build(**overrides):
        parser = ConfigParser(ConfigParser.load_config_file(str(file)))
        parser.update({"frame_shape": [120, 160], "background#method": "polynomial", "workers": 1, **overrides})
        return parser.get_parsed_content("prepare")

    return build


@pytest.fixture
def source(write_recording, tmp_path):
    folder = tmp_path / "source"
    for donor in range(1, 6):
        for index, token in enumerate(TOKENS):
            discs = [[(40, 45, 12 + index), (78, 100 + donor, 12 + index)]] * 2
            write_recording(folder / f"D{donor}_{token}_1.phase", discs, truth=True, seed=10 * donor + index)
    write_recording(folder / "D1_Thr_1.phase", [[(40, 45, 4), (78, 100, 4)]], seed=90)
    write_recording(folder / "D2_Emp_1.phase", [[]], seed=91)
    return folder


def _run(preparation, source, output, **arguments):
    return preparation(source, output, progress=False, **arguments)


def test_recordings_to_datalist(preparation, source, tmp_path):
    output = tmp_path / "data"
    summary = _run(preparation(), source, output)
    content = read_datalist(output / "datalist.json")
    assert content["classes"] == ["monocyte", "lymphocyte", "neutrophil", "eosinophil"]
    sections = {name: load_section(output / "datalist.json", name) for name in (*SECTIONS, "outlier")}
    cells = [record for name in SECTIONS for record in sections[name]]
    assert len(cells) == 5 * 4 * 2 * 2
    for record in cells:
        donor, token, _ = record["source"].split("_")
        assert record["donor"] == donor
        assert record["label"] == TOKENS.index(token)
        assert np.load(record["image"]).shape == (50, 50)
        assert np.load(record["truth"]).dtype == np.uint8
    donors = [{record["donor"] for record in sections[name]} for name in SECTIONS]
    assert [len(names) for names in donors] == [3, 1, 1]
    assert len(set.union(*donors)) == 5
    assert all({record["label"] for record in sections[name]} == {0, 1, 2, 3} for name in SECTIONS)
    kinds = [record["kind"] for record in sections["outlier"]]
    assert (kinds.count("thrombocyte"), kinds.count("empty")) == (2, 2)
    assert all("label" not in record for record in sections["outlier"])
    assert content["info"]["split_by"] == "donor"
    assert content["info"]["duplicates"] == []
    assert len(pd.read_csv(output / "excluded.csv")) == content["info"]["excluded"] == 0
    assert summary.counts.loc["total", "training"] == len(sections["training"])


def test_a_second_call_does_nothing_and_overwrite_repeats_it(preparation, source, tmp_path):
    output = tmp_path / "data"
    assert not _run(preparation(), source, output).reused
    datalist = (output / "datalist.json").read_text()
    times = {path: path.stat().st_mtime_ns for path in output.rglob("*.npy")}
    assert _run(preparation(), source, output).reused
    assert {path: path.stat().st_mtime_ns for path in output.rglob("*.npy")} == times
    assert _run(preparation(workers=3), source, output).reused
    assert not _run(preparation(), source, output, overwrite=True).reused
    assert (output / "datalist.json").read_text() == datalist
    with pytest.raises(DataError, match=r"was prepared otherwise \(.*crop_size 50 → 40"):
        _run(preparation(crop_size=40), source, output)


def test_processes_give_the_same_as_one(preparation, source, tmp_path):
    _run(preparation(), source, tmp_path / "one")
    _run(preparation(workers=2), source, tmp_path / "two")
    one, two = (json.loads((tmp_path / name / "datalist.json").read_text()) for name in ("one", "two"))
    assert one == two


def test_interrupted_call_goes_on(preparation, source, tmp_path, scripts, monkeypatch):
    output, done = tmp_path / "data", []
    original = scripts("extraction").CellExtraction.extract

    def interrupted(self, path, *arguments):
        if len(done) == 7:
            raise KeyboardInterrupt
        done.append(path.name)
        return original(self, path, *arguments)

    monkeypatch.setattr(scripts("extraction").CellExtraction, "extract", interrupted)
    with pytest.raises(KeyboardInterrupt):
        _run(preparation(), source, output)
    assert not (output / "datalist.json").exists()

    def counted(self, path, *arguments):
        done.append(path.name)
        return original(self, path, *arguments)

    monkeypatch.setattr(scripts("extraction").CellExtraction, "extract", counted)
    _run(preparation(), source, output)
    assert len(done) == len(set(done)) == 22
    _run(preparation(), source, tmp_path / "fresh")
    assert (output / "datalist.json").read_text() == (tmp_path / "fresh" / "datalist.json").read_text()


def test_changed_and_removed_recordings_are_followed(preparation, source, tmp_path, write_recording):
    output = tmp_path / "data"
    _run(preparation(), source, output)
    (source / "D1_Thr_1.phase").unlink()
    write_recording(source / "D2_Emp_1.phase", [[], []], seed=92)
    assert not _run(preparation(), source, output).reused
    outliers = load_section(output / "datalist.json", "outlier")
    assert [record["kind"] for record in outliers] == ["empty"] * 4
    assert list(output.glob("crops/D1_Mon_1*"))
    assert not list(output.glob("crops/D1_Thr_1*"))


def test_bad_recordings_are_listed_and_the_rest_goes_on(preparation, source, tmp_path):
    broken = source / "D5_Neu_2.phase"
    broken.write_bytes((source / "D5_Neu_1.phase").read_bytes()[:3000])
    shutil.copy(source / "D5_Neu_1.phase", source / "D5_Bas_1.phase")
    shutil.copy(source / "D5_Neu_1.phase", source / "_Neu_1.phase")
    with h5py.File(source / "D4_Mon_1.phase", "r+") as file:
        file["image/00001"][3, 4] = np.nan
        del file["image/00002"]
        file["image/00002"] = np.zeros((5, 5), np.float32)
    with h5py.File(source / "D4_Mon_2.phase", "w") as file:
        file["other/00001"] = np.zeros((5, 5))
    _run(preparation(), source, tmp_path / "data")
    excluded = pd.read_csv(tmp_path / "data" / "excluded.csv", dtype=str).set_index(["source", "item"])["reason"]
    assert len(excluded) == 6
    assert "not a complete HDF5 file" in excluded["D5_Neu_2.phase", "recording"]
    assert "no known class token" in excluded["D5_Bas_1.phase", "recording"]
    assert "no donor found" in excluded["_Neu_1.phase", "recording"]
    assert "NaN" in excluded["D4_Mon_1.phase", "00001"]
    assert "shape 5 x 5, expected 120 x 160" in excluded["D4_Mon_1.phase", "00002"]
    assert "no frames in the group 'image', found other" in excluded["D4_Mon_2.phase", "recording"]
    assert len(read_datalist(tmp_path / "data" / "datalist.json")["outlier"]) == 4


def test_one_recording_filed_under_two_donors_is_reported(preparation, source, tmp_path, caplog):
    shutil.copy(source / "D1_Mon_1.phase", source / "D2_Mon_1.phase")
    _run(preparation(), source, tmp_path / "data")
    duplicates = read_datalist(tmp_path / "data" / "datalist.json")["info"]["duplicates"]
    assert len(duplicates) == 4
    assert all("D1_Mon_1" in same[0] + same[1] and "D2_Mon_1" in same[0] + same[1] for same in duplicates)
    assert "one recording may be filed under two donors" in caplog.text


def test_two_recordings_of_one_name(preparation, source, tmp_path):
    (source / "copy").mkdir()
    shutil.copy(source / "D1_Mon_1.phase", source / "copy" / "D1_Mon_1.phase")
    with pytest.raises(DataError, match="several recordings are called D1_Mon_1"):
        _run(preparation(), source, tmp_path / "data")


def test_too_few_donors(preparation, source, tmp_path):
    for path in [*source.glob("D3*"), *source.glob("D4*"), *source.glob("D5*")]:
        path.unlink()
    with pytest.raises(DataError, match=r"2 donor\(s\) \(D1, D2\) cannot be divided into 3 splits"):
        _run(preparation(), source, tmp_path / "data")
    assert not (tmp_path / "data" / "datalist.json").exists()


@pytest.mark.parametrize(("make", "message"), [("missing", "no such folder"), ("empty", "found an empty folder")])
def test_no_source(preparation, tmp_path, make, message):
    if make == "empty":
        (tmp_path / "source").mkdir()
    with pytest.raises(DataError, match=message):
        _run(preparation(), tmp_path / "source", tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_nothing_usable(preparation, tmp_path, write_recording):
    write_recording(tmp_path / "source" / "D1_Mon_1.phase", [[]])
    (tmp_path / "source" / "D2_Mon_1.phase").write_bytes(b"")
    with pytest.raises(
        DataError, match=r"no usable cell of the classes .* D2_Mon_1\.phase, recording: .*not a complete"
    ):
        _run(preparation(), tmp_path / "source", tmp_path / "data")
    assert len(pd.read_csv(tmp_path / "data" / "excluded.csv")) == 1


def test_folder_of_crops(preparation, tmp_path):
    rng = np.random.default_rng(0)
    names = ["monocyte", "lymphocyte", "neutrophil", "eosinophil", "ruptured"]
    for name in names:
        (tmp_path / "source" / name).mkdir(parents=True)
        for donor in "ABCD":
            np.save(tmp_path / "source" / name / f"{donor}_1.npy", rng.normal(size=(50, 50)).astype(np.float32))
    (tmp_path / "source" / "basophil").mkdir()
    np.save(tmp_path / "source" / "basophil" / "A_1.npy", rng.normal(size=(50, 50)))
    _run(preparation(), tmp_path / "source", tmp_path / "data")
    sections = {name: load_section(tmp_path / "data" / "datalist.json", name) for name in (*SECTIONS, "outlier")}
    assert [len(sections[name]) for name in SECTIONS] == [8, 4, 4]
    assert {record["kind"] for record in sections["outlier"]} == {"ruptured"}
    for record in sections["training"]:
        assert record["id"].startswith(names[record["label"]])
        assert record["donor"] in "ABCD"
        assert record["dry_mass_pg"] >= 0
    excluded = pd.read_csv(tmp_path / "data" / "excluded.csv")
    assert "unknown class 'basophil', expected one of monocyte" in excluded["reason"].item()
    assert _run(preparation(), tmp_path / "source", tmp_path / "data").reused


def test_npz_set_with_indices_and_without_donors(preparation, tmp_path):
    rng = np.random.default_rng(0)
    labels = np.arange(40) % 4
    images = rng.normal(size=(40, 50, 50)).astype(np.float32)
    images[3] = 0
    np.savez(tmp_path / "cells.npz", images=images, labels=labels)
    _run(preparation(**{"npz_keys#donors": None}), tmp_path / "cells.npz", tmp_path / "data")
    content = read_datalist(tmp_path / "data" / "datalist.json")
    assert content["info"]["split_by"] == "cell (no donors given)"
    records = [record for name in SECTIONS for record in content[name]]
    assert len(records) == 39
    for record in records:
        number = int(record["id"].removeprefix("cells_"))
        assert record["label"] == labels[number]
        np.testing.assert_array_equal(np.load(tmp_path / "data" / record["image"]), images[number])


def test_repeated_and_hostile_ids_of_a_set(preparation, tmp_path):
    """Each label stays with its own image, and nothing is written outside the folder."""
    images = np.random.default_rng(0).normal(size=(42, 50, 50)).astype(np.float32)
    labels = np.arange(42) % 4
    ids = [f"x/../../../{number}" for number in range(40)] + ["x/../../../0", "x/../../../1"]
    (tmp_path / "a" / "b").mkdir(parents=True)
    np.savez(tmp_path / "cells.npz", images=images, labels=labels, ids=ids)
    output = tmp_path / "a" / "b" / "data"
    _run(preparation(**{"npz_keys#donors": None, "npz_keys#ids": "ids"}), tmp_path / "cells.npz", output)
    content = read_datalist(output / "datalist.json")
    records = [record for name in SECTIONS for record in content[name]]
    assert len(records) == 40
    for record in records:
        number = int(record["id"].split("/")[-1])
        assert record["label"] == labels[number]
        np.testing.assert_array_equal(np.load(output / record["image"]), images[number])
    excluded = pd.read_csv(output / "excluded.csv")
    assert excluded["item"].tolist() == ids[40:]
    assert excluded["reason"].str.contains("of an earlier one").all()
    assert [path for path in tmp_path.rglob("*.npy") if not path.is_relative_to(output / "crops")] == []


def test_crops_whose_paths_differ_in_a_separator_only(preparation, tmp_path):
    rng = np.random.default_rng(0)
    written = {}
    for name in ("monocyte", "lymphocyte", "neutrophil", "eosinophil"):
        for path in ("A_b_1.npy", "b/A_1.npy", "b_A_1.npy", "B_1.npy", "C_1.npy"):
            file = tmp_path / "source" / name / path
            file.parent.mkdir(parents=True, exist_ok=True)
            written[f"{name}/{path}"] = rng.normal(size=(50, 50)).astype(np.float32)
            np.save(file, written[f"{name}/{path}"])
    _run(preparation(), tmp_path / "source", tmp_path / "data")
    records = [record for name in SECTIONS for record in load_section(tmp_path / "data" / "datalist.json", name)]
    assert {record["id"] for record in records} == set(written)
    for record in records:
        np.testing.assert_array_equal(np.load(record["image"]), written[record["id"]])


def test_holograms_in_folders_of_the_classes(preparation, tmp_path, write_hologram):
    """The optical path of every cell, from the fringes to the datalist."""
    peaks = {"monocyte": 3.0, "lymphocyte": 4.0, "neutrophil": 5.0, "eosinophil": 6.0}
    for name, peak in peaks.items():
        for donor in "ABC":
            write_hologram(tmp_path / "source" / name / f"{donor}_1.npz", [(40, 45, 11), (80, 110, 11)], peak)
    write_hologram(tmp_path / "source" / "empty" / "A_1.npz", [], 0)
    np.savez(tmp_path / "source" / "monocyte" / "A_2.npz", data=np.ones((120, 160)))
    np.savez(tmp_path / "source" / "monocyte" / "A_3.npz", data=np.ones((120, 160)), bg_data=np.ones((120, 160)))
    write_hologram(tmp_path / "source" / "other" / "A_1.npz", [], 0)
    _run(preparation(), tmp_path / "source", tmp_path / "data")
    sections = {name: load_section(tmp_path / "data" / "datalist.json", name) for name in (*SECTIONS, "outlier")}
    assert [len(sections[name]) for name in SECTIONS] == [8, 8, 8]
    assert {(record["kind"], record["donor"]) for record in sections["outlier"]} == {("empty", "A")}
    for record in [record for name in SECTIONS for record in sections[name]]:
        name, peak = list(peaks.items())[record["label"]]
        assert record["id"].startswith(f"{name}_{record['donor']}_1/00001/")
        assert min(np.hypot(record["row"] - r, record["column"] - c) for r, c in ((40, 45), (80, 110))) < 2
        crop = np.load(record["image"])
        assert crop[23:28, 23:28].max() == pytest.approx(peak, abs=0.3)
        assert abs(np.median(crop[:4])) < 0.15
        assert record["opd_peak_nm"] == pytest.approx(peak * 528 / (2 * np.pi), rel=0.1)
    reasons = pd.read_csv(tmp_path / "data" / "excluded.csv")
    assert reasons["source"].tolist() == ["A_2.npz", "A_3.npz", "A_1.npz"]
    assert "no array 'bg_data', found data" in reasons["reason"][0]
    assert "hologram is constant" in reasons["reason"][1]
    assert "in no folder of a class" in reasons["reason"][2]

    np.save(tmp_path / "source" / "monocyte" / "A_1.npy", np.eye(50))
    with pytest.raises(DataError, match=r"holds holograms \(A_1.npz, …\) and crops \(A_1.npy, …\)"):
        _run(preparation(), tmp_path / "source", tmp_path / "more")


def _discs(folder, scale, names=("monocyte", "lymphocyte", "neutrophil", "eosinophil"), radius=12.0):
    """A crop with one disc of 2 rad per class and donor, drawn with ``scale`` times as many pixels."""
    size = round(50 * scale)
    rows, columns = np.mgrid[:size, :size] - (size - 1) / 2
    for index, name in enumerate(names):
        (folder / name).mkdir(parents=True)
        for donor, extra in (("A", 0.0), ("B", 0.3), ("C", 0.6)):
            disc = 2.0 * (np.hypot(rows, columns) <= (radius + extra + index) * scale)
            np.save(folder / name / f"{donor}_1.npy", disc.astype(np.float32))


def test_resizing_keeps_areas_and_masses(preparation, tmp_path):
    found = {}
    for scale in (1, 2):
        _discs(tmp_path / f"source{scale}", scale)
        settings = {"resize": True, "pixel_size_um": 0.36 / scale}
        _run(preparation(**settings), tmp_path / f"source{scale}", tmp_path / f"data{scale}")
        content = read_datalist(tmp_path / f"data{scale}" / "datalist.json")
        assert content["info"]["pixel_size_um"] == pytest.approx(0.36)
        assert content["info"].get("pixel_size_um_before_resizing") == (None if scale == 1 else 0.18)
        found[scale] = {record["id"]: record for name in SECTIONS for record in content[name]}
    for identity, record in found[1].items():
        assert found[2][identity]["area_um2"] == pytest.approx(record["area_um2"], rel=0.1)
        assert found[2][identity]["dry_mass_pg"] == pytest.approx(record["dry_mass_pg"], rel=0.1)


def test_crops_resized_by_different_factors_have_no_common_pixel_size(preparation, tmp_path):
    _discs(tmp_path / "source", 1)
    (tmp_path / "source" / "ruptured").mkdir()
    np.save(tmp_path / "source" / "ruptured" / "A_1.npy", np.kron(np.eye(50, dtype=np.float32), np.ones((2, 2))))
    _run(preparation(resize=True), tmp_path / "source", tmp_path / "data")
    content = read_datalist(tmp_path / "data" / "datalist.json")
    assert content["info"]["pixel_size_um"] is None
    assert content["outlier"][0]["pixel_size_um"] == 2 * content["info"]["pixel_size_um_before_resizing"]
    assert not any("pixel_size_um" in record for record in content["training"])


def test_warnings_of_a_missing_class_and_of_cells_without_background(preparation, tmp_path, caplog):
    _discs(tmp_path / "good", 1)
    _run(preparation(), tmp_path / "good", tmp_path / "data")
    assert caplog.text == ""
    _discs(tmp_path / "bad", 1, ("monocyte", "lymphocyte", "neutrophil"), radius=33)
    _run(preparation(), tmp_path / "bad", tmp_path / "more")
    assert "no cell of the class eosinophil" in caplog.text
    assert "the cell fills the crop" in caplog.text


def test_failed_preparation_does_not_block_another(preparation, tmp_path):
    _discs(tmp_path / "source", 2)
    with pytest.raises(DataError, match=r"reasons: 12 cells, e\.g\. .* --resize true [^;]*$"):
        _run(preparation(), tmp_path / "source", tmp_path / "data")
    assert not _run(preparation(resize=True), tmp_path / "source", tmp_path / "data").reused


def test_what_crops_look_like_is_recorded_and_can_be_restored(preparation, source, tmp_path, repository):
    changed = {
        "crop_size": 44,
        "segmentation#threshold_rad": 0.4,
        "pixel_size_um": 0.3,
        "holograms#filter_size": 0.5,
        "integer_phase_range": [0, 4],
        "max_cells_per_recording": 3,
    }
    before = preparation(**changed)
    _run(before, source, tmp_path / "data")
    recorded = recorded_settings(tmp_path / "data" / "datalist.json")
    file = repository / "bundles" / "leukocyte_qpi" / "configs" / "prepare.json"
    restored = read_prepare_settings(file, {}, recorded).get_parsed_content("prepare")
    assert restored.holograms == before.holograms
    assert restored.single_cells == before.single_cells
    # of new recordings all cells are wanted
    assert restored.extraction.max_cells_per_recording is None
    assert restored.extraction == replace(before.extraction, max_cells_per_recording=None)


def test_one_recording_or_another_file_as_source(preparation, source, tmp_path):
    with pytest.raises(DataError, match=r"1 donor\(s\) \(D1\) cannot be divided into 3 splits"):
        _run(preparation(), source / "D1_Mon_1.phase", tmp_path / "data")
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(DataError, match=r"notes\.txt: is a file of kind '\.txt'; expected as --source recordings"):
        _run(preparation(), tmp_path / "notes.txt", tmp_path / "data")
