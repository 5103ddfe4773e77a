from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from monai.bundle import ConfigParser

from shared.data.datalist import write_datalist
from shared.data.errors import DataError

REAL_HOLOGRAM = Path(__file__).resolve().parents[4] / "shared" / "data" / "hologram" / "hologram_cell.npz"


@pytest.fixture(scope="module")
def inference_data(bundle_scripts):
    return bundle_scripts("leukocyte_qpi")("inference_data")


@pytest.fixture
def config(repository, tmp_path):
    """The bundle's settings of preparing, for small frames."""

    def write(**changes):
        file = repository / "bundles" / "leukocyte_qpi" / "configs" / "prepare.json"
        content = ConfigParser.load_config_file(str(file))
        content["frame_shape"] = [120, 160]
        content["background"]["method"] = "polynomial"
        content.update(changes)
        (tmp_path / "prepare.json").write_text(json.dumps(content))
        return tmp_path / "prepare.json"

    return write


@pytest.fixture
def crop():
    return np.random.default_rng(0).normal(size=(50, 50)).astype(np.float32)


def test_sections_of_a_datalist(inference_data, tmp_path, crop):
    np.save(tmp_path / "a.npy", crop)
    records = [{"id": "a", "image": "a.npy", "label": 0}, {"id": "b", "image": "gone.npy", "label": 0}]
    write_datalist(tmp_path / "datalist.json", {"test": records, "training": []}, ["x"])
    for path in (tmp_path, tmp_path / "datalist.json"):
        found = inference_data.inference_records(path, output_dir=tmp_path / "out")
        assert found == [{"id": "a", "image": str(tmp_path / "a.npy"), "label": 0}]
    excluded = pd.read_csv(tmp_path / "out" / "excluded.csv")
    assert excluded["item"].tolist() == ["b"]
    assert "no such file" in excluded["reason"].item()
    with pytest.raises(DataError, match="no section 'validation'; found test, training"):
        inference_data.inference_records(tmp_path, section="validation")
    with pytest.raises(DataError, match="no cell to infer on"):
        inference_data.inference_records(tmp_path, section="training")


def test_folder_of_crops_converts_what_is_not_ready(inference_data, tmp_path, crop, config):
    folder, output = tmp_path / "cells", tmp_path / "out"
    (folder / "sub").mkdir(parents=True)
    np.save(folder / "a.npy", crop)
    tifffile.imwrite(folder / "sub" / "b.tif", crop + 1)
    tifffile.imwrite(folder / "c.tif", (np.abs(crop) * 10000).astype(np.uint16))
    np.save(folder / "nan.npy", crop * np.nan)
    np.save(folder / "small.npy", crop[:40])
    (folder / "broken.npy").write_bytes(b"\x93NUMPY")
    found = inference_data.inference_records(folder, output_dir=output)
    assert [record["id"] for record in found] == ["a.npy", "sub/b.tif"]
    assert found[0]["image"] == str(folder / "a.npy")
    np.testing.assert_array_equal(np.load(found[1]["image"]), crop + 1)
    reasons = pd.read_csv(output / "excluded.csv").set_index("source")["reason"]
    assert "integer_phase_range" in reasons["c.tif"]
    assert "NaN" in reasons["nan.npy"]
    assert "shape 40 x 50, expected 50 x 50" in reasons["small.npy"]
    assert "cannot be read" in reasons["broken.npy"]

    declared = inference_data.inference_records(
        folder, output_dir=output, prepare_config=config(integer_phase_range=[0, 6.5535])
    )
    assert [record["id"] for record in declared] == ["a.npy", "c.tif", "sub/b.tif"]
    expected = (np.abs(crop) * 10000).astype(np.uint16) / 10000
    np.testing.assert_allclose(np.load(declared[1]["image"]), expected, atol=1e-5)


def test_single_files(inference_data, tmp_path, crop):
    np.save(tmp_path / "a.npy", crop)
    assert inference_data.inference_records(tmp_path / "a.npy") == [
        {"id": "a.npy", "image": str(tmp_path / "a.npy"), "source": "a.npy"}
    ]
    tifffile.imwrite(tmp_path / "b.tif", crop)
    with pytest.raises(DataError, match="must be converted before inference; set output_dir"):
        inference_data.inference_records(tmp_path / "b.tif")


def test_recordings_are_segmented_without_names_that_say_a_class(inference_data, tmp_path, write_recording, config):
    folder, output = tmp_path / "recordings", tmp_path / "out"
    write_recording(folder / "unknown.phase", [[(40, 45, 13), (80, 90, 12), (80, 112, 12)], [(2, 80, 13)]])
    (folder / "broken.phase").write_bytes(b"not HDF5")
    found = inference_data.inference_records(folder, output_dir=output, prepare_config=config())
    assert [(record["id"], record["touching"]) for record in found] == [
        ("unknown/00001/00", False),
        ("unknown/00001/01", True),
    ]
    assert all(np.load(record["image"]).shape == (50, 50) for record in found)
    reasons = pd.read_csv(output / "excluded.csv").set_index("source")["reason"]
    assert "not a complete HDF5 file" in reasons["broken.phase"]
    assert "cut by the border" in reasons["unknown.phase"]
    single = inference_data.inference_records(folder / "unknown.phase", output_dir=output, prepare_config=config())
    assert single == found


def test_raw_data_are_prepared_as_the_calibrated_ones_were(inference_data, tmp_path, write_recording, config, caplog):
    write_recording(tmp_path / "in" / "x.phase", [[(40, 45, 13), (80, 100, 12)]])
    arguments = {"path": tmp_path / "in", "output_dir": tmp_path / "out", "prepare_config": config()}
    calibration = tmp_path / "calibration.json"
    recorded = {"extraction": {"crop_size": 40, "optics": {"pixel_size_um": 0.3}}}
    calibration.write_text(json.dumps({"prepared_with": recorded}))

    def sizes(**options):
        found = inference_data.inference_records(**arguments, **options)
        return {np.load(record["image"]).shape for record in found}

    with caplog.at_level("INFO"):
        assert sizes(calibration_file=calibration) == {(40, 40)}
        assert f"crops are made as those that {calibration} was fitted to" in caplog.text
        overrides = {"crop_size": 30}
        assert sizes(calibration_file=calibration, prepare_overrides=overrides) == {(30, 30)}
        assert "was fitted to, but for crop_size" in caplog.text
    size = inference_data.pixel_size_um
    assert size(tmp_path / "in", calibration_file=calibration) == 0.3
    assert size(tmp_path / "in", calibration_file=calibration, prepare_overrides={"pixel_size_um": 0.2}) == 0.2

    calibration.write_text("{}")
    with caplog.at_level("WARNING"):
        assert sizes(calibration_file=calibration) == {(50, 50)}
        assert "does not say how its data were prepared" in caplog.text
    assert sizes(calibration_file=tmp_path / "gone.json") == sizes() == {(50, 50)}


def test_npz_without_labels(inference_data, tmp_path, crop, config):
    np.savez(tmp_path / "set.npz", images=np.stack([crop, crop * np.nan, crop + 1]))
    keys = {"_target_": "scripts.single_cells.NpzKeys", "labels": None, "donors": None}
    found = inference_data.inference_records(
        tmp_path / "set.npz", output_dir=tmp_path / "out", prepare_config=config(npz_keys=keys)
    )
    assert [record["id"] for record in found] == ["set_000000", "set_000002"]
    np.testing.assert_array_equal(np.load(found[1]["image"]), crop + 1)
    assert pd.read_csv(tmp_path / "out" / "excluded.csv", dtype=str)["item"].tolist() == ["000001"]


def test_what_cannot_be_inferred_on(inference_data, tmp_path):
    with pytest.raises(DataError, match="found nothing, expected datalist"):
        inference_data.inference_records(tmp_path / "gone")
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(DataError, match=r"found a file of kind '\.txt'"):
        inference_data.inference_records(tmp_path / "notes.txt")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"empty: no cell to infer on; 0 item\(s\) left out"):
        inference_data.inference_records(tmp_path / "empty")
    np.save(tmp_path / "constant.npy", np.ones((50, 50)))
    with pytest.raises(DataError, match=r"constant\.npy, crop: constant\.npy is constant"):
        inference_data.inference_records(tmp_path / "constant.npy")


def test_hostile_and_repeated_ids_of_a_set(inference_data, tmp_path, crop, config):
    output = tmp_path / "a" / "b" / "c" / "out"
    np.savez(tmp_path / "set.npz", images=np.stack([crop, crop + 1, crop + 2]), ids=["x/../../../ESCAPED", "y", "y"])
    keys = {"_target_": "scripts.single_cells.NpzKeys", "labels": None, "donors": None, "ids": "ids"}
    found = inference_data.inference_records(
        tmp_path / "set.npz", output_dir=output, prepare_config=config(npz_keys=keys)
    )
    assert [record["id"] for record in found] == ["set_x/../../../ESCAPED", "set_y"]
    for record, expected in zip(found, [crop, crop + 1], strict=True):
        np.testing.assert_array_equal(np.load(record["image"]), expected)
    assert len(list(tmp_path.rglob("*.npy"))) == len(list((output / "crops").iterdir())) == 2
    assert "of an earlier one" in pd.read_csv(output / "excluded.csv")["reason"].item()


def test_two_recordings_of_one_name(inference_data, tmp_path, write_recording, config):
    write_recording(tmp_path / "in" / "a" / "r.phase", [[(40, 45, 13)]])
    write_recording(tmp_path / "in" / "b" / "r.phase", [[(70, 100, 13)]], seed=1)
    found = inference_data.inference_records(tmp_path / "in", output_dir=tmp_path / "out", prepare_config=config())
    assert [(record["row"], record["column"]) for record in found] == [(40, 45)]
    assert "called r like" in pd.read_csv(tmp_path / "out" / "excluded.csv")["reason"].item()


def test_holograms(inference_data, tmp_path, write_hologram, config):
    folder, output = tmp_path / "in", tmp_path / "out"
    write_hologram(folder / "one.npz", [(60, 80, 11)], 5.0)
    (folder / "broken.npz").write_bytes(b"PK")
    found = inference_data.inference_records(folder, output_dir=output, prepare_config=config())
    assert [record["id"] for record in found] == ["one/00001/00"]
    assert np.load(found[0]["image"])[24:27, 24:27].max() == pytest.approx(5, abs=0.3)
    assert "not a readable .npz file" in pd.read_csv(output / "excluded.csv")["reason"].item()
    single = inference_data.inference_records(folder / "one.npz", output_dir=output, prepare_config=config())
    assert single == found
    with pytest.raises(DataError, match=r"not a readable \.npz file"):
        inference_data.inference_records(folder / "broken.npz", output_dir=output, prepare_config=config())
    np.save(folder / "crop.npy", np.eye(50))
    with pytest.raises(DataError, match=r"holds holograms .* and crops \(crop.npy"):
        inference_data.inference_records(folder, output_dir=output, prepare_config=config())


@pytest.mark.skipif(not REAL_HOLOGRAM.is_file(), reason="the real hologram is not part of the repository")
@pytest.mark.filterwarnings("ignore")
def test_a_real_hologram_gives_one_cell(inference_data, tmp_path, config):
    pytest.importorskip("qpimage", reason="qpimage is optional")
    changed = config(crop_size=160, pixel_size_um=0.14)
    found = inference_data.inference_records(REAL_HOLOGRAM, output_dir=tmp_path, prepare_config=changed)
    assert [(record["row"], record["column"], record["touching"]) for record in found] == [(101, 106, False)]
    crop = np.load(found[0]["image"])
    assert crop.shape == (160, 160)
    assert 3.5 < np.median(crop[70:90, 70:90]) < 5.5


def test_settings_of_preparing_can_be_overridden(inference_data, tmp_path, crop, config):
    values = (np.abs(crop) * 10000).astype(np.uint16)
    np.savez(tmp_path / "set.npz", cells=values[None])
    overrides = {"integer_phase_range": [0, 6.5535], "npz_keys": {"images": "cells"}}
    found = inference_data.inference_records(
        tmp_path / "set.npz", output_dir=tmp_path / "out", prepare_config=config(), prepare_overrides=overrides
    )
    np.testing.assert_allclose(np.load(found[0]["image"]), values / 10000, atol=1e-5)
    with pytest.raises(DataError, match=r"has no key 'phase_rang'; did you mean 'integer_phase_range'"):
        inference_data.inference_records(tmp_path / "set.npz", prepare_overrides={"phase_rang": 1})
    with pytest.raises(DataError, match="--prepare_overrides#npz_keys#images NAME"):
        inference_data.inference_records(tmp_path / "set.npz", output_dir=tmp_path / "out")


def test_pixel_size_is_that_of_the_data(inference_data, tmp_path, crop):
    pixel_size_um = inference_data.pixel_size_um
    assert pixel_size_um(tmp_path) == 0.36
    assert pixel_size_um(tmp_path, prepare_overrides={"pixel_size_um": 0.3}) == 0.3
    for info, expected in (({"pixel_size_um": 0.1}, 0.1), ({}, 0.36), ({"pixel_size_um": None}, None)):
        write_datalist(tmp_path / "datalist.json", {"test": []}, ["x"], info)
        assert pixel_size_um(tmp_path) == pixel_size_um(tmp_path / "datalist.json") == expected

    (tmp_path / "cells").mkdir()
    np.save(tmp_path / "cells" / "a.npy", np.kron(crop, np.ones((2, 2), np.float32)))
    overrides = {"resize": True, "pixel_size_um": 0.2}
    arguments = {"output_dir": tmp_path / "out", "prepare_overrides": overrides}
    records = inference_data.inference_records(tmp_path / "cells", **arguments)
    assert pixel_size_um(tmp_path / "cells", records, prepare_overrides=overrides) == pytest.approx(0.4)
    np.save(tmp_path / "cells" / "b.npy", crop)
    records = inference_data.inference_records(tmp_path / "cells", **arguments)
    assert pixel_size_um(tmp_path / "cells", records, prepare_overrides=overrides) is None


def test_explaining_asks_the_data_for_the_pixel_size(inference_data, repository, tmp_path, crop):
    np.save(tmp_path / "a.npy", crop)
    records = {"test": [{"id": "a", "image": "a.npy", "label": 0}], "outlier": []}
    write_datalist(tmp_path / "datalist.json", records, ["x"], {"pixel_size_um": 0.1})
    configs = repository / "bundles" / "leukocyte_qpi" / "configs"
    parser = ConfigParser(
        ConfigParser.load_config_files([str(configs / f"{n}.json") for n in ("inference", "explain")])
    )
    parser.update({"dataset_dir": str(tmp_path), "output_dir": str(tmp_path / "eval")})
    assert parser.get_parsed_content("pixel_size_um") == 0.1
    (tmp_path / "datalist.json").unlink()
    parser.update({"prepare_overrides#pixel_size_um": 0.2})
    parser.parse(reset=True)
    assert parser.get_parsed_content("pixel_size_um") == 0.2
