"""The whole way from a table and folders of images to a datalist, with everything that can be wrong on it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from monai.bundle import ConfigParser
from PIL import Image

from shared.data.datalist import load_section, read_datalist
from shared.data.errors import DataError

SECTIONS = ("training", "validation", "test")
LAYOUTS = ("clinical", "challenge")
TABLES = {"clinical": "clinical.csv", "challenge": "clinical_annotation.csv"}
FOLDERS = {"clinical": "images", "challenge": "trainset"}
REAL = Path(__file__).resolve().parents[4] / "shared" / "data" / "lymphocytosis"


@pytest.fixture(scope="module")
def scripts(bundle_scripts):
    return bundle_scripts("lymphocytosis_moe")


@pytest.fixture(scope="module")
def preparation(scripts, repository):
    """The preparation of the bundle's own config."""
    scripts("prepare")
    file = repository / "bundles" / "lymphocytosis_moe" / "configs" / "prepare.json"

    def build(**overrides):
        parser = ConfigParser(ConfigParser.load_config_file(str(file)))
        parser.update({"workers": 1, **overrides})
        return parser.get_parsed_content("prepare")

    return build


def _run(preparation, source, output, **arguments):
    return preparation(source, output, progress=False, **arguments)


def _excluded(output):
    return pd.read_csv(output / "excluded.csv", dtype=str)


def _reasons(output):
    return _excluded(output).set_index("source")["reason"]


def _records(output):
    return {record["id"]: record for name in SECTIONS for record in load_section(output / "datalist.json", name)}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_both_layouts_to_a_datalist(preparation, write_source, tmp_path, layout):
    write_source(tmp_path / "source", layout, unlabelled=2)
    output = tmp_path / "data"
    summary = _run(preparation(), tmp_path / "source", output)
    content = read_datalist(output / "datalist.json")
    assert content["classes"] == ["reactive", "tumoral"]
    records = _records(output)
    assert len(records) == 12
    for name, record in records.items():
        number = int(name[1:])
        assert record["patient"] == name
        assert record["label"] == (number + 1) % 2
        assert record["sex"] == "MF"[number % 2]
        assert record["age"] == pytest.approx(20 + 3 * number - (0.5 if layout == "challenge" else 0), abs=0.1)
        assert record["lymphocyte_count"] == 4.5 + number
        assert [Path(path).name for path in record["image"]] == [f"{index:06d}.jpg" for index in range(6)]
        assert {Path(path).parent.name for path in record["image"]} == {name}
    sizes = [len(content[name]) for name in SECTIONS]
    assert sizes == [7, 3, 2]
    assert all({record["label"] for record in content[name]} == {0, 1} for name in SECTIONS)
    assert [record["id"] for record in content["unlabelled"]] == ["P12", "P13"]
    assert all("label" not in record and record["age"] > 50 for record in content["unlabelled"])
    assert not _excluded(output).size
    info = content["info"]
    assert info["image_size"] == [24, 24]
    assert info["images"] == {"training": 42, "validation": 18, "test": 12, "unlabelled": 12}
    assert info["age_on"] == ("2020-01-01" if layout == "challenge" else None)
    assert info["patients"]["training"] == sorted(record["id"] for record in content["training"])
    assert summary.counts.loc["unlabelled", "unlabelled"] == 2
    assert summary.counts.loc["total", "images"] == 84


def test_images_stay_where_they_are_and_the_whole_can_be_moved(preparation, write_source, tmp_path):
    write_source(tmp_path / "here" / "source")
    before = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*.jpg"))
    _run(preparation(), tmp_path / "here" / "source", tmp_path / "here" / "data")
    assert sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*.jpg")) == before
    content = json.loads((tmp_path / "here" / "data" / "datalist.json").read_text())
    assert content["training"][0]["image"][0].startswith("../source/images/P")
    (tmp_path / "here").rename(tmp_path / "there")
    assert len(load_section(tmp_path / "there" / "data" / "datalist.json", "training")) == 7


def test_a_second_call_does_nothing_and_changes_are_noticed(preparation, write_source, tmp_path):
    source, output = tmp_path / "source", tmp_path / "data"
    write_source(source)
    assert not _run(preparation(), source, output).reused
    before = (output / "datalist.json").read_bytes()
    assert _run(preparation(workers=2), source, output).reused
    with pytest.raises(DataError, match=r"use --overwrite .*was prepared otherwise \(seed 0 → 1\)"):
        _run(preparation(seed=1), source, output)
    with pytest.raises(DataError, match="minimum_images 5 → 6"):
        _run(preparation(minimum_images=6), source, output)
    assert not _run(preparation(), source, output, overwrite=True).reused
    assert (output / "datalist.json").read_bytes() == before
    (source / "images" / "P3" / "000000.jpg").unlink()
    assert not _run(preparation(), source, output).reused
    assert len(_records(output)["P3"]["image"]) == 5


def test_processes_give_the_same_as_one(preparation, write_source, tmp_path):
    write_source(tmp_path / "source")
    (tmp_path / "source" / "images" / "P2" / "000001.jpg").write_bytes(b"x")
    for name, workers in (("one", 1), ("two", 2)):
        _run(preparation(workers=workers), tmp_path / "source", tmp_path / name)
    for file in ("datalist.json", "excluded.csv"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_bad_input_is_named_and_the_rest_goes_on(preparation, write_source, tmp_path, layout, caplog):
    source, output = tmp_path / "source", tmp_path / "data"
    table = write_source(source, layout, patients=20, images=8)
    images = source / FOLDERS[layout]
    file = source / TABLES[layout]
    count = table.columns[-1 if layout == "challenge" else 4]
    table = table.astype({count: object})
    table.loc[0, count] = ""  # P0 lacks an attribute
    shutil.rmtree(images / "P1")  # P1 has no folder
    shutil.rmtree(images / "P2")
    (images / "P2").mkdir()  # P2 has an empty one
    shutil.copytree(images / "P3", images / "Q3")  # a folder without a row; copies of P3, but of nobody known
    shutil.copy(images / "P4" / "000002.jpg", images / "P5" / "000100.jpg")  # one cell in two patients
    shutil.copy(images / "P6" / "000002.jpg", images / "P6" / "again.jpg")  # one cell twice
    whole = (images / "P7" / "000000.jpg").read_bytes()
    (images / "P7" / "000000.jpg").write_bytes(whole[: len(whole) // 2])
    (images / "P7" / "000001.jpg").write_bytes(b"")
    (images / "P7" / "000002.jpg").write_text("no picture")
    Image.new("RGB", (24, 24), (90, 10, 80)).save(images / "P8" / "000000.jpg")  # constant
    wide = Image.open(images / "P8" / "000001.jpg").resize((30, 24))
    wide.save(images / "P8" / "000001.jpg")
    Image.open(images / "P8" / "000002.jpg").convert("L").save(images / "P8" / "000002.jpg")
    (images / "P9" / "notes.txt").write_text("smear of poor quality")
    (images / "P9" / ".hidden").write_text("")
    for index in range(4):
        (images / "P10" / f"{index:06d}.jpg").unlink()  # too few are left
    shutil.copy(images / "P4" / "000003.jpg", images / "lost.jpg")
    table.to_csv(file, index=False)

    summary = _run(preparation(), source, output)
    reasons, rows, name = _reasons(output), _excluded(output), FOLDERS[layout]
    assert f"no {count}, which the networks need" in reasons["P0"]
    assert f"in {TABLES[layout]}, but without images; expected a folder {name}/P1" in reasons["P1"]
    assert f"without images: {name}/P2 holds none" in reasons["P2"]
    assert f"8 image(s) in {name}/Q3, but no row in {TABLES[layout]}" in reasons["Q3"]
    assert f"same image as {name}/P4/000002.jpg of another patient" in reasons[f"{name}/P5/000100.jpg"]
    assert f"same image as {name}/P5/000100.jpg of another patient" in reasons[f"{name}/P4/000002.jpg"]
    assert "patients P4 and P5 share 1 image(s)" in caplog.text
    assert f"repeats {name}/P6/000002.jpg" in reasons[f"{name}/P6/again.jpg"]
    for index in (0, 1, 2):
        assert "cannot be read as .jpg" in reasons[f"{name}/P7/{index:06d}.jpg"]
    assert "is of one colour" in reasons[f"{name}/P8/000000.jpg"]
    assert "is of 24 x 30 pixels, expected 24 x 24" in reasons[f"{name}/P8/000001.jpg"]
    assert "expected rows x columns x 3 of 8 bits (RGB)" in reasons[f"{name}/P8/000002.jpg"]
    assert "is no image" in reasons[f"{name}/P9/notes.txt"]
    assert "4 usable image(s) of 4, expected at least 5 (minimum_images)" in reasons["P10"]
    assert f"lies in no patient's folder, expected {name}/<patient>" in reasons[f"{name}/lost.jpg"]
    assert rows["source"].is_unique
    assert len(rows) == 16

    records = _records(output)
    gone = {"P0", "P1", "P2", "P10"}
    assert set(records) == {f"P{number}" for number in range(20)} - gone
    assert {name: len(record["image"]) for name, record in records.items() if len(record["image"]) != 8} == {
        "P4": 7,
        "P7": 5,
        "P8": 5,
    }
    assert "left out: 5 patients, 10 images and 1 file" in str(summary)


def test_a_patient_in_both_folders_of_the_challenge(preparation, write_source, tmp_path):
    source = tmp_path / "source"
    write_source(source, "challenge", patients=20, unlabelled=1)
    shutil.copytree(source / "trainset" / "P3", source / "testset" / "P3")
    _run(preparation(), source, tmp_path / "data")
    assert "in two splits: trainset/P3 and testset/P3" in _reasons(tmp_path / "data")["P3"]
    assert "P3" not in _records(tmp_path / "data")


def test_a_patient_moved_into_a_second_section_by_hand_is_refused(preparation, write_source, tmp_path):
    write_source(tmp_path / "source")
    _run(preparation(), tmp_path / "source", tmp_path / "data")
    file = tmp_path / "data" / "datalist.json"
    content = json.loads(file.read_text())
    content["test"].append(content["training"][0])
    file.write_text(json.dumps(content))
    with pytest.raises(DataError, match=rf"patient '{content['training'][0]['id']}' in 'training' .* and 'test'"):
        load_section(file, "training")


def test_lossless_copies_under_another_name_are_found(preparation, write_source, tmp_path):
    """The pixels are compared, and not the files."""
    source = tmp_path / "source"
    write_source(source)
    Image.open(source / "images" / "P0" / "000000.jpg").save(source / "images" / "P1" / "copy.png")
    _run(preparation(), source, tmp_path / "data")
    assert set(_reasons(tmp_path / "data").index) == {"images/P0/000000.jpg", "images/P1/copy.png"}


def test_a_demanded_size(preparation, write_source, tmp_path):
    write_source(tmp_path / "source")
    with pytest.raises(DataError, match=r"no usable patient .* is of 24 x 24 pixels, expected 32 x 32"):
        _run(preparation(image_size=32), tmp_path / "source", tmp_path / "data")
    assert not (tmp_path / "data" / "datalist.json").exists()
    _run(preparation(image_size=[24, 24]), tmp_path / "source", tmp_path / "data")
    assert len(_records(tmp_path / "data")) == 12


def test_smears_are_told_apart_by_the_file_name_or_the_folder(preparation, write_source, tmp_path):
    source = tmp_path / "source"
    write_source(source, patients=20)
    for patient in (source / "images").iterdir():
        for index, path in enumerate(sorted(patient.iterdir())):
            place = patient / f"slide{index % 2}"
            place.mkdir(exist_ok=True)
            path.rename(place / path.name)
    (source / "images" / "P4" / "slide1" / "000001.jpg").rename(source / "images" / "P4" / "x.jpg")
    _run(preparation(smear_pattern="^slide(?P<smear>[0-9])/"), source, tmp_path / "data")
    records = _records(tmp_path / "data")
    assert len(records) == 19
    for record in records.values():
        assert record["smear"] == ["0", "0", "0", "1", "1", "1"]
        assert [Path(path).parent.name[-1] for path in record["image"]] == record["smear"]
    assert "no smear found in 'x.jpg'" in _reasons(tmp_path / "data")["P4"]
    with pytest.raises(RuntimeError) as error:
        preparation(smear_pattern="^S")
    assert "'^S' needs a group (?P<smear>…)" in str(error.value.__cause__)


def test_a_class_that_is_missing(preparation, write_source, tmp_path, caplog):
    table = write_source(tmp_path / "source")
    table["label"] = 1
    table.to_csv(tmp_path / "source" / "clinical.csv", index=False)
    _run(preparation(), tmp_path / "source", tmp_path / "data")
    assert "no patient of the class reactive" in caplog.text


def test_only_unlabelled_patients(preparation, write_source, tmp_path):
    write_source(tmp_path / "source", "challenge", patients=0, unlabelled=4)
    with pytest.raises(DataError, match=r"no usable patient of the classes reactive, tumoral \(4 without diagnosis\)"):
        _run(preparation(), tmp_path / "source", tmp_path / "data")


def test_too_few_patients(preparation, write_source, tmp_path):
    write_source(tmp_path / "source", patients=4)
    with pytest.raises(DataError, match=r"class reactive occurs in 2 patient\(s\) only"):
        _run(preparation(), tmp_path / "source", tmp_path / "data")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: None, r"no such folder; expected as --source a folder that holds clinical_annotation\.csv"),
        (lambda folder: folder.mkdir(), "found an empty folder"),
        (lambda folder: folder.write_text("x"), "is a file; expected"),
        (lambda folder: [folder.mkdir(), (folder / "clinical.csv").write_text("id")], "but no folder images"),
        (
            lambda folder: [folder.mkdir(), *[(folder / name).write_text("id") for name in TABLES.values()]],
            r"has several layouts \(clinical_annotation\.csv with .* and clinical\.csv with",
        ),
    ],
)
def test_no_source(preparation, tmp_path, make, message):
    make(tmp_path / "source")
    with pytest.raises(DataError, match=message):
        _run(preparation(), tmp_path / "source", tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_truth_of_generated_images_goes_with_them(preparation, write_source, tmp_path):
    source = tmp_path / "source"
    write_source(source)
    rows = []
    for path in sorted((source / "images").rglob("*.jpg")):
        patient = path.parent.name
        (source / "truth" / patient).mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.ones((24, 24), np.uint8)).save(source / "truth" / patient / f"{path.stem}.png")
        rows.append((patient, path.name, int(path.stem) % 2))
    pd.DataFrame(rows, columns=["patient", "image", "abnormal"]).to_csv(source / "instances.csv", index=False)
    (source / "images" / "P2" / "000001.jpg").write_bytes(b"")  # its truth goes with it
    _run(preparation(), source, tmp_path / "data")
    records = _records(tmp_path / "data")
    for name, record in records.items():
        assert [Path(path).stem for path in record["truth"]] == [Path(path).stem for path in record["image"]]
        assert record["instance_label"] == ([0, 0, 1, 0, 1] if name == "P2" else [0, 1] * 3)
    (source / "truth" / "P0" / "000003.png").unlink()
    with pytest.raises(DataError, match=r"no 000003\.png; generate the phantoms anew"):
        _run(preparation(), source, tmp_path / "data", overwrite=True)


@pytest.mark.skipif(not REAL.is_dir(), reason="the real data set is not there")
def test_the_real_data_set(preparation, tmp_path):
    _run(preparation(workers=2), REAL, tmp_path / "data")
    content = read_datalist(tmp_path / "data" / "datalist.json")
    assert sum(content["info"]["images"].values()) == 10233
    labels = [record["label"] for name in SECTIONS for record in content[name]]
    assert (labels.count(0), labels.count(1)) == (37, 84)
    assert not _excluded(tmp_path / "data").size
