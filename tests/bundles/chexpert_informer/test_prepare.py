"""The whole way from each source layout to a datalist, with everything that can be wrong on it."""

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
TO_TWO = {"train": ["training", "validation"], "valid": ["test"]}
FINDINGS = ["atelectasis", "cardiomegaly", "consolidation", "edema", "pleural_effusion"]
REAL = Path(__file__).resolve().parents[4] / "shared" / "data" / "nih_cxr"


@pytest.fixture(scope="module")
def preparation(bundle_scripts, repository):
    """The preparation of the bundle's own config."""
    bundle_scripts("chexpert_informer")("prepare")
    file = repository / "bundles" / "chexpert_informer" / "configs" / "prepare.json"

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
    return _excluded(output).set_index("item")["reason"]


def _records(output, sections=SECTIONS):
    return {record["id"]: record for name in sections for record in load_section(output / "datalist.json", name)}


def _labels(number):
    return [(number >> bit) & 1 for bit in range(5)]


@pytest.mark.parametrize("prefix", ["CheXpert-v1.0-small/", "CheXpert-v1.0/", "", "some/where/else/"])
def test_chexpert_by_its_published_parts(preparation, write_chexpert, tmp_path, prefix):
    write_chexpert(tmp_path / "source", {"train": 32, "valid": 8, "test": 8}, prefix)
    output = tmp_path / "data"
    summary = _run(preparation(), tmp_path / "source", output)
    content = read_datalist(output / "datalist.json")
    assert content["classes"] == FINDINGS
    assert [len(content[name]) for name in SECTIONS] == [33, 8, 8]
    assert {record["patient"] for record in content["validation"]} == {f"patient{n:05d}" for n in range(33, 41)}
    records = _records(output)
    for name, record in records.items():
        number = int(record["patient"].removeprefix("patient"))
        assert name.startswith(f"{record['patient']}_study")
        assert name.endswith("_view1_frontal")
        assert record["label"] == _labels(number % 32)
        assert record["age"] == 20 + number
        assert (record["sex"], record["view"]) == (("M", "AP"), ("F", "PA"))[number % 2]
        assert "published" not in record
        assert record["image"].endswith(f"{record['patient']}/{name.split('_')[1]}/view1_frontal.jpg")
    assert {"patient00001_study1_view1_frontal", "patient00001_study2_view1_frontal"} <= set(records)
    lateral = _excluded(output)
    assert len(lateral) == 16
    assert lateral["reason"].str.contains("lateral view").all()
    assert content["info"]["layout"] == "chexpert"
    assert content["info"]["split_by"] == "published parts, then patient"
    assert summary.counts.loc["total", list(SECTIONS)].tolist() == [33, 8, 8]
    expected = sum(_labels(number % 32)[3] for number in range(1, 33))
    assert summary.counts.loc["edema", "training"] == expected
    assert "left out: 16 images" in str(summary)


def test_chexperts_test_table_without_view_columns(preparation, write_chexpert, tmp_path):
    """The published test labels hold a path and observations only."""
    write_chexpert(tmp_path / "source", {"train": 32, "valid": 8, "test": 9})
    file = tmp_path / "source" / "test.csv"
    pd.read_csv(file).drop(columns=["Sex", "Age", "Frontal/Lateral", "AP/PA"]).to_csv(file, index=False)
    _run(preparation(), tmp_path / "source", tmp_path / "data")
    tests = load_section(tmp_path / "data" / "datalist.json", "test")
    assert len(tests) == 9
    assert all(set(record) == {"id", "patient", "image", "label"} for record in tests)


def test_without_a_published_part_one_is_told_what_to_do(preparation, write_chexpert, tmp_path):
    source = tmp_path / "source"
    write_chexpert(source, {"train": 48, "valid": 8})
    with pytest.raises(DataError, match=r"no image for test: .* part\(s\) train, valid .* set published to"):
        _run(preparation(), source, tmp_path / "data")
    _run(preparation(published=TO_TWO), source, tmp_path / "data")
    content = read_datalist(tmp_path / "data" / "datalist.json")
    assert len(content["test"]) == 8
    # 0.6 to 0.2 of 49 images
    assert len(content["training"]) == pytest.approx(49 * 0.75, abs=2)
    assert {r["patient"] for r in content["training"]}.isdisjoint(r["patient"] for r in content["validation"])
    _run(preparation(published=None), source, tmp_path / "all")
    sizes = [len(read_datalist(tmp_path / "all" / "datalist.json")[name]) for name in SECTIONS]
    assert sum(sizes) == 57
    assert sizes[0] == pytest.approx(0.6 * 57, abs=2)
    with pytest.raises(DataError, match=r"published part\(s\) 'valid', which published has no sections for"):
        _run(preparation(published={"train": ["training", "validation", "test"]}), source, tmp_path / "other")


@pytest.mark.parametrize("archive", [False, True])
def test_the_nihs_layouts(preparation, write_nih, tmp_path, archive):
    write_nih(tmp_path / "source", 64, archive)
    output = tmp_path / "data"
    _run(preparation(), tmp_path / "source", output)
    content, records = read_datalist(output / "datalist.json"), _records(output)
    assert content["info"]["layout"] == ("nih_archive" if archive else "nih")
    assert content["info"]["split_by"] == "patient"
    assert len(records) == 64
    for name, record in records.items():
        number = int(name[:8])
        assert record["patient"] == str(number // 2)
        assert record["label"] == _labels(number % 32)
        assert (record["age"], record["sex"], record["view"]) == (
            30 + number,
            "MF"[number % 2],
            ("PA", "AP")[number % 2],
        )
        assert Path(record["image"]).is_file()
    section_of = {record["patient"]: name for name in SECTIONS for record in content[name]}
    for name in SECTIONS:
        assert {section_of[record["patient"]] for record in content[name]} == {name}
        assert np.array([record["label"] for record in content[name]]).any(axis=0).all()


def test_the_nihs_own_lists(preparation, write_nih, tmp_path):
    table = write_nih(tmp_path / "source", 64, archive=True)
    names = table["Image Index"].tolist()
    (tmp_path / "source" / "train_val_list.txt").write_text("\n".join(names[:48]))
    (tmp_path / "source" / "test_list.txt").write_text("\n".join(names[48:]) + "\n")
    lists = {"train": "train_val_list.txt", "test": "test_list.txt"}
    settings = {"nih_archive#lists": lists, "published": {"train": ["training", "validation"], "test": ["test"]}}
    _run(preparation(**settings), tmp_path / "source", tmp_path / "data")
    tests = load_section(tmp_path / "data" / "datalist.json", "test")
    assert sorted(record["id"] for record in tests) == [name.removesuffix(".png") for name in names[48:]]


def _write_dicom_folder(write_dicom, folder, number=24):
    rows = []
    for index in range(number):
        bits, photometric = (8, 10, 12, 16)[index % 4], f"MONOCHROME{1 + index % 2}"
        place = f"study{index // 3}/IM{index:04d}" + ("" if index % 3 else ".dcm")
        write_dicom(folder / place, index, bits, patient=f"P{index // 2}", photometric=photometric)
        rows.append({"image": place, **dict(zip(FINDINGS, _labels(31 - index), strict=True))})
    return pd.DataFrame(rows).astype(object)


def test_a_folder_of_dicom_with_labels(preparation, write_dicom, tmp_path):
    source = tmp_path / "source"
    table = _write_dicom_folder(write_dicom, source)
    table.loc[1, "image"] = "IM0001"  # a file's name will do, if there is one of it
    table.loc[2, "image"] = __import__("pydicom").dcmread(source / "study0" / "IM0002").SOPInstanceUID
    table = table.drop(index=[22, 23])  # two are unlabelled
    table.to_csv(source / "labels.csv", index=False)
    _run(preparation(), source, tmp_path / "data")
    records = _records(tmp_path / "data")
    assert len(records) == 22
    for name, record in records.items():
        index = int(name[-4:])
        assert record["patient"] == f"P{index // 2}"
        assert record["label"] == _labels(31 - index)
        assert (record["age"], record["sex"], record["view"]) == (61, "F", "PA")
    unlabelled = load_section(tmp_path / "data" / "datalist.json", "unlabelled")
    assert [record["id"] for record in unlabelled] == ["study7/IM0022", "study7/IM0023"]
    assert all("label" not in record for record in unlabelled)
    assert not _excluded(tmp_path / "data").size


def test_a_folder_of_dicom_without_labels(preparation, bundle_scripts, write_dicom, tmp_path):
    _write_dicom_folder(write_dicom, tmp_path / "source", 4)
    with pytest.raises(DataError, match="no usable labelled image \\(4 without labels\\)"):
        _run(preparation(), tmp_path / "source", tmp_path / "data")
    used = preparation()
    module = bundle_scripts("chexpert_informer")("prepare")
    records, excluded = module.image_records(
        used.layouts["dicom"], used.selection, used.check, tmp_path / "source", progress=False
    )
    assert len(records) == 4
    assert not excluded


def test_uncertain_labels_are_a_choice(preparation, write_chexpert, tmp_path):
    source = tmp_path / "source"
    tables = write_chexpert(source, {"train": 32, "valid": 8, "test": 8})
    train = tables["train"]
    train.loc[train["Path"].str.contains("patient00005/"), ["Atelectasis", "Consolidation"]] = [-1.0, "-1"]
    train.to_csv(source / "train.csv", index=False)
    name = "patient00005_study1_view1_frontal"
    expected = {"mask": [None, 0, None, 0, 0], "zeros": [0] * 5, "ones": [1, 0, 1, 0, 0], "mix": [1, 0, 0, 0, 0]}
    for policy, label in expected.items():
        _run(preparation(uncertain=policy), source, tmp_path / policy)
        assert _records(tmp_path / policy)[name]["label"] == label
    _run(preparation(uncertain="exclude"), source, tmp_path / "exclude")
    assert name not in _records(tmp_path / "exclude")
    assert _reasons(tmp_path / "exclude")[name] == "uncertain atelectasis and consolidation (uncertain: exclude)"
    _run(preparation(without_finding="exclude_patients"), source, tmp_path / "sick")
    kept = _records(tmp_path / "sick")
    assert name not in kept  # masked is not found
    assert all(1 in record["label"] for record in kept.values())
    with pytest.raises(DataError, match="uncertain 'mask', now 'ones'"):
        _run(preparation(uncertain="ones"), source, tmp_path / "mask")


def test_every_bad_input_of_chexpert_is_named_and_the_rest_goes_on(preparation, write_chexpert, tmp_path, caplog):
    source, output = tmp_path / "source", tmp_path / "data"
    tables = write_chexpert(source, {"train": 40, "valid": 8, "test": 8}, suffix="png")

    def image(number, view="frontal"):
        table = "train" if number <= 40 else "valid"
        return source / f"{table}/patient{number:05d}/study1/view1_{view}.png"

    train = tables["train"].set_index(tables["train"]["Path"].str.extract(r"patient(\d+)")[0].astype(int))
    train.loc[2, "Edema"] = 2
    train.loc[4, "Atelectasis"] = "yes"
    train.loc[5, "Path"] = "somewhere/else.png"
    train.loc[7, "Age"] = 412
    train.loc[8, ["Sex", "Age", "AP/PA"]] = ["Unknown", "", "LL"]
    image(10).unlink()
    Image.new("L", (48, 40), 90).save(image(11))
    image(13).write_bytes(image(13).read_bytes()[:300])
    shutil.copy(image(14), image(16))
    shutil.copy(image(17), image(45))  # one image in two parts
    shutil.copy(image(1), source / "train/patient00001/study2/view1_frontal.png")  # the same of one patient
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 48, 3), dtype=np.uint8)).save(image(19))
    Image.open(image(20)).resize((20, 16)).save(image(20))
    train.to_csv(source / "train.csv", index=False)

    summary = _run(preparation(), source, output)
    reasons = _reasons(output)

    def reason(number):
        return reasons[f"patient{number:05d}_study1_view1_frontal"]

    assert reasons["CheXpert-v1.0-small/train/patient00002/study1/view1_frontal.png"] == (
        "Edema is '2', expected 1, 0, -1 (uncertain) or nothing"
    )
    assert "Atelectasis is 'yes'" in reasons["CheXpert-v1.0-small/train/patient00004/study1/view1_frontal.png"]
    assert "its path names no patient" in reasons["somewhere/else.png"]
    assert "no such file" in reason(10)
    assert "is constant" in reason(11)
    assert "cannot be read as .png" in reason(13)
    assert "same image as train/patient00016/study1/view1_frontal.png of another patient" in reason(14)
    assert "same image as train/patient00014/study1/view1_frontal.png of another patient" in reason(16)
    assert "of another patient" in reason(17)
    assert "of another patient" in reason(45)
    assert "patients patient00014 and patient00016 share 1 image(s)" in caplog.text
    assert "repeats train/patient00001/study1" in reasons["patient00001_study2_view1_frontal"]
    assert "is in colour" in reason(19)
    assert "is of 16 x 20 pixels, expected 32" in reason(20)
    lateral = reasons.str.contains("lateral view")
    assert lateral.sum() == 18
    assert (~lateral).sum() == 13
    records = _records(output)
    assert len(records) == 56 + 1 - 13
    assert "age" not in records["patient00007_study1_view1_frontal"]
    assert {"sex", "age", "view"}.isdisjoint(records["patient00008_study1_view1_frontal"])
    assert "left out: 31 images" in str(summary)


def test_every_bad_dicom_is_named_and_the_rest_goes_on(preparation, write_dicom, tmp_path):
    source, output = tmp_path / "source", tmp_path / "data"
    table = _write_dicom_folder(write_dicom, source)
    for name, elements in {
        "no_patient": {"PatientID": None},
        "no_view": {"ViewPosition": None},
        "lateral": {"ViewPosition": "LL"},
        "no_pixels": {"PixelData": None},
        "colour": {"PhotometricInterpretation": "PALETTE COLOR"},
    }.items():
        write_dicom(source / f"{name}.dcm", 700, **{"patient": name, **elements})
        table.loc[len(table)] = [f"{name}.dcm", 1, 0, 0, 0, 0]
    (source / "broken.dcm").write_bytes(b"x" * 300)
    table.loc[3, "edema"] = 7
    table.loc[len(table)] = ["lost.dcm", 1, 0, 0, 0, 0]
    table.loc[len(table)] = [table.loc[5, "image"], 0, 0, 0, 0, 0]
    table.to_csv(source / "labels.csv", index=False)
    _run(preparation(), source, output)
    reasons = _reasons(output)
    assert "no PatientID and no patient in labels.csv" in reasons["no_patient.dcm"]
    assert "does not say whether it is frontal" in reasons["no_view"]
    assert "lateral view" in reasons["lateral"]
    assert "DICOM without pixel data" in reasons["no_pixels"]
    assert "PALETTE COLOR" in reasons["colour"]
    assert "cannot be read as DICOM" in reasons["broken.dcm"]
    assert "edema is '7'" in reasons["study1/IM0003.dcm"]
    assert "in labels.csv, but no such file" in reasons["lost.dcm"]
    assert "is named twice" in reasons["study1/IM0005"]
    assert len(reasons) == 9
    assert set(_records(output)) == {f"study{i // 3}/IM{i:04d}" for i in range(24)} - {"study1/IM0003", "study1/IM0005"}


def test_bad_rows_and_pictures_of_a_table(preparation, write_nih, tmp_path):
    source = tmp_path / "source"
    table = write_nih(source, 64)
    table.loc[0, "patient"] = ""
    table.loc[1, "consolidation"] = "3"
    table.loc[2, "image"] = "lost.png"
    table.loc[3, "view"] = "LATERAL"
    table.loc[4, "view"] = ""
    (source / "images" / "again").mkdir()
    shutil.copy(source / "images" / "00000005_000.png", source / "images" / "again")
    table.to_csv(source / "labels.csv", index=False)
    _run(preparation(), source, tmp_path / "data")
    reasons = _reasons(tmp_path / "data")
    assert reasons["00000000_000.png"] == "no patient; images are split by patient"
    assert "consolidation is '3'" in reasons["00000001_000.png"]
    assert "no such file" in reasons["lost"]
    assert "lateral view" in reasons["00000003_000"]
    assert "does not say whether it is frontal" in reasons["00000004_000"]
    assert "is there twice: images/00000005_000.png and images/again" in reasons["00000005_000.png"]
    assert len(reasons) == 6
    _run(preparation(unknown_view="keep"), source, tmp_path / "kept")
    assert "00000004_000" in _records(tmp_path / "kept")


def test_a_finding_that_hardly_occurs_does_not_stop_the_split(preparation, write_nih, tmp_path, caplog):
    table = write_nih(tmp_path / "source", 60)
    table["edema"], table["consolidation"] = 0, 0
    table.loc[[0, 1], "consolidation"] = 1
    table.to_csv(tmp_path / "source" / "labels.csv", index=False)
    _run(preparation(), tmp_path / "source", tmp_path / "data")
    assert "no image with edema" in caplog.text
    assert len(_records(tmp_path / "data")) == 60


def test_a_second_call_does_nothing_processes_agree_and_changes_are_noticed(preparation, write_nih, tmp_path):
    source, output = tmp_path / "source", tmp_path / "data"
    write_nih(source, 70)
    assert not _run(preparation(), source, output).reused
    before = (output / "datalist.json").read_bytes()
    assert _run(preparation(workers=2), source, output).reused
    _run(preparation(workers=2), source, tmp_path / "two")
    assert (tmp_path / "two" / "datalist.json").read_bytes() == before
    with pytest.raises(DataError, match="seed 0, now 1"):
        _run(preparation(seed=1), source, output)
    (source / "images" / "00000009_000.png").unlink()
    assert not _run(preparation(), source, output).reused
    assert "no such file" in _reasons(output)["00000009_000"]
    quick = preparation(read_images=False)
    _run(quick, source, tmp_path / "quick")
    assert set(_records(tmp_path / "quick")) == set(_records(output))


def test_paths_are_relative_and_nothing_is_copied(preparation, write_nih, tmp_path):
    write_nih(tmp_path / "here" / "source")
    _run(preparation(), tmp_path / "here" / "source", tmp_path / "here" / "data")
    content = json.loads((tmp_path / "here" / "data" / "datalist.json").read_text())
    assert content["training"][0]["image"].startswith("../source/images/0")
    assert not list((tmp_path / "here" / "data").rglob("*.png"))
    (tmp_path / "here").rename(tmp_path / "there")
    assert load_section(tmp_path / "there" / "data" / "datalist.json", "training")


def test_sources_that_cannot_be(preparation, write_nih, write_chexpert, write_dicom, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"empty: nothing to prepare; found an empty folder, expected train.csv"):
        _run(preparation(), tmp_path / "empty", tmp_path / "data")
    with pytest.raises(DataError, match=r"none: no such folder; expected as --source"):
        _run(preparation(), tmp_path / "none", tmp_path / "data")
    write_nih(tmp_path / "both")
    write_dicom(tmp_path / "both" / "a.dcm")
    with pytest.raises(DataError, match=r"has several layouts \(labels.csv with images.* and DICOM files"):
        _run(preparation(), tmp_path / "both", tmp_path / "data")
    tables = write_chexpert(tmp_path / "column")
    tables["train"].drop(columns="Edema").to_csv(tmp_path / "column" / "train.csv", index=False)
    with pytest.raises(DataError, match=r"train.csv: no column 'Edema' \(edema\); found Path, Sex"):
        _run(preparation(), tmp_path / "column", tmp_path / "data")


def test_wrong_settings(preparation):
    for overrides, message in (
        ({"classes": ["edema"]}, "classes: found"),
        ({"published": {"train": ["train"]}}, "'train' goes to 'train', expected training, validation, test"),
    ):
        with pytest.raises((RuntimeError, DataError)) as error:  # MONAI wraps what a component says
            preparation(**overrides)
        assert message in str(error.value.__cause__ or error.value)


@pytest.mark.skipif(not REAL.is_dir(), reason="the real images are not here")
def test_the_real_images(preparation, tmp_path):
    _run(preparation(), REAL, tmp_path / "data")
    records = _records(tmp_path / "data")
    assert len(records) == 404
    positives = np.array([record["label"] for record in records.values()]).sum(axis=0)
    assert positives.tolist() == [57, 38, 55, 12, 51]
    assert not _excluded(tmp_path / "data").size
