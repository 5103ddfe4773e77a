"""From CheXpert's layout to a datalist, with everything that can be wrong in it."""

from __future__ import annotations

import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from shared.data.datalist import load_section, read_datalist
from shared.data.errors import DataError
from tests.bundles.chexpert_informer.conftest import FINDINGS, labels_of
from tests.bundles.chexpert_informer.prepared_chests import SECTIONS, excluded, prepare, reasons_of, records_of

TO_TWO = {"train": ["training", "validation"], "valid": ["test"]}


@pytest.mark.parametrize("prefix", ["CheXpert-v1.0-small/", "CheXpert-v1.0/", "", "some/where/else/"])
def test_chexpert_by_its_published_parts(preparation, write_chexpert, tmp_path, prefix):
    write_chexpert(tmp_path / "source", {"train": 32, "valid": 8, "test": 8}, prefix)
    output = tmp_path / "data"
    summary = prepare(preparation(), tmp_path / "source", output)
    content = read_datalist(output / "datalist.json")
    assert content["classes"] == list(FINDINGS)
    assert [len(content[name]) for name in SECTIONS] == [33, 8, 8]
    assert {record["patient"] for record in content["validation"]} == {f"patient{n:05d}" for n in range(33, 41)}
    records = records_of(output)
    for name, record in records.items():
        number = int(record["patient"].removeprefix("patient"))
        assert name.startswith(f"{record['patient']}_study")
        assert name.endswith("_view1_frontal")
        assert record["label"] == labels_of(number % 32)
        assert record["age"] == 20 + number
        assert (record["sex"], record["view"]) == (("M", "AP"), ("F", "PA"))[number % 2]
        assert "published" not in record
        assert record["image"].endswith(f"{record['patient']}/{name.split('_')[1]}/view1_frontal.jpg")
    assert {"patient00001_study1_view1_frontal", "patient00001_study2_view1_frontal"} <= set(records)
    lateral = excluded(output)
    assert len(lateral) == 16
    assert lateral["reason"].str.contains("lateral view").all()
    assert content["info"]["layout"] == "chexpert"
    assert content["info"]["split_by"] == "published parts, then patient"
    assert summary.counts.loc["total", list(SECTIONS)].tolist() == [33, 8, 8]
    expected = sum(labels_of(number % 32)[3] for number in range(1, 33))
    assert summary.counts.loc["edema", "training"] == expected
    assert "left out: 16 images" in str(summary)


def test_chexperts_test_table_without_view_columns(preparation, write_chexpert, tmp_path):
    """The published test labels hold a path and observations only."""
    write_chexpert(tmp_path / "source", {"train": 32, "valid": 8, "test": 9})
    file = tmp_path / "source" / "test.csv"
    pd.read_csv(file).drop(columns=["Sex", "Age", "Frontal/Lateral", "AP/PA"]).to_csv(file, index=False)
    prepare(preparation(), tmp_path / "source", tmp_path / "data")
    tests = load_section(tmp_path / "data" / "datalist.json", "test")
    assert len(tests) == 9
    assert all(set(record) == {"id", "patient", "image", "label"} for record in tests)


def test_without_a_published_part_one_is_told_what_to_do(preparation, write_chexpert, tmp_path):
    source = tmp_path / "source"
    write_chexpert(source, {"train": 48, "valid": 8})
    with pytest.raises(DataError, match=r"no image for test: .* part\(s\) train, valid .* set published to"):
        prepare(preparation(), source, tmp_path / "data")
    prepare(preparation(published=TO_TWO), source, tmp_path / "data")
    content = read_datalist(tmp_path / "data" / "datalist.json")
    assert len(content["test"]) == 8
    # 0.6 to 0.2 of 49 images
    assert len(content["training"]) == pytest.approx(49 * 0.75, abs=2)
    assert {r["patient"] for r in content["training"]}.isdisjoint(r["patient"] for r in content["validation"])
    prepare(preparation(published=None), source, tmp_path / "all")
    sizes = [len(read_datalist(tmp_path / "all" / "datalist.json")[name]) for name in SECTIONS]
    assert sum(sizes) == 57
    assert sizes[0] == pytest.approx(0.6 * 57, abs=2)
    with pytest.raises(DataError, match=r"published part\(s\) 'valid', which published has no sections for"):
        prepare(preparation(published={"train": ["training", "validation", "test"]}), source, tmp_path / "other")


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

    summary = prepare(preparation(), source, output)
    reasons = reasons_of(output)

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
    records = records_of(output)
    assert len(records) == 56 + 1 - 13
    assert "age" not in records["patient00007_study1_view1_frontal"]
    assert {"sex", "age", "view"}.isdisjoint(records["patient00008_study1_view1_frontal"])
    assert "left out: 31 images" in str(summary)
