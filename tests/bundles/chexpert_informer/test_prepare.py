"""What all source layouts share on their way to a datalist: choices, repeats, paths, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from shared.data.datalist import load_section
from shared.data.errors import DataError
from tests.bundles.chexpert_informer.prepared_chests import excluded, prepare, reasons_of, records_of

REAL = Path(__file__).resolve().parents[4] / "shared" / "data" / "nih_cxr"


def test_uncertain_labels_are_a_choice(preparation, write_chexpert, tmp_path):
    source = tmp_path / "source"
    tables = write_chexpert(source, {"train": 32, "valid": 8, "test": 8})
    train = tables["train"]
    train.loc[train["Path"].str.contains("patient00005/"), ["Atelectasis", "Consolidation"]] = [-1.0, "-1"]
    train.to_csv(source / "train.csv", index=False)
    name = "patient00005_study1_view1_frontal"
    expected = {"mask": [None, 0, None, 0, 0], "zeros": [0] * 5, "ones": [1, 0, 1, 0, 0], "mix": [1, 0, 0, 0, 0]}
    for policy, label in expected.items():
        prepare(preparation(uncertain=policy), source, tmp_path / policy)
        assert records_of(tmp_path / policy)[name]["label"] == label
    prepare(preparation(uncertain="exclude"), source, tmp_path / "exclude")
    assert name not in records_of(tmp_path / "exclude")
    assert reasons_of(tmp_path / "exclude")[name] == "uncertain atelectasis and consolidation (uncertain: exclude)"
    prepare(preparation(without_finding="exclude_patients"), source, tmp_path / "sick")
    kept = records_of(tmp_path / "sick")
    assert name not in kept  # masked is not found
    assert all(1 in record["label"] for record in kept.values())
    with pytest.raises(DataError, match="uncertain 'mask' → 'ones'"):
        prepare(preparation(uncertain="ones"), source, tmp_path / "mask")


def test_a_finding_that_hardly_occurs_does_not_stop_the_split(preparation, write_nih, tmp_path, caplog):
    table = write_nih(tmp_path / "source", 60)
    table["edema"], table["consolidation"] = 0, 0
    table.loc[[0, 1], "consolidation"] = 1
    table.to_csv(tmp_path / "source" / "labels.csv", index=False)
    prepare(preparation(), tmp_path / "source", tmp_path / "data")
    assert "no image with edema" in caplog.text
    assert len(records_of(tmp_path / "data")) == 60


def test_a_second_call_does_nothing_processes_agree_and_changes_are_noticed(preparation, write_nih, tmp_path):
    source, output = tmp_path / "source", tmp_path / "data"
    write_nih(source, 70)
    assert not prepare(preparation(), source, output).reused
    before = (output / "datalist.json").read_bytes()
    assert prepare(preparation(workers=2), source, output).reused
    prepare(preparation(workers=2), source, tmp_path / "two")
    assert (tmp_path / "two" / "datalist.json").read_bytes() == before
    with pytest.raises(DataError, match="seed 0 → 1"):
        prepare(preparation(seed=1), source, output)
    (source / "images" / "00000009_000.png").unlink()
    assert not prepare(preparation(), source, output).reused
    assert "no such file" in reasons_of(output)["00000009_000"]
    quick = preparation(read_images=False)
    prepare(quick, source, tmp_path / "quick")
    assert set(records_of(tmp_path / "quick")) == set(records_of(output))


def test_paths_are_relative_and_nothing_is_copied(preparation, write_nih, tmp_path):
    write_nih(tmp_path / "here" / "source")
    prepare(preparation(), tmp_path / "here" / "source", tmp_path / "here" / "data")
    content = json.loads((tmp_path / "here" / "data" / "datalist.json").read_text())
    assert content["training"][0]["image"].startswith("../source/images/0")
    assert not list((tmp_path / "here" / "data").rglob("*.png"))
    (tmp_path / "here").rename(tmp_path / "there")
    assert load_section(tmp_path / "there" / "data" / "datalist.json", "training")


def test_sources_that_cannot_be(preparation, write_nih, write_chexpert, write_dicom, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"empty: nothing to prepare; found an empty folder, expected train.csv"):
        prepare(preparation(), tmp_path / "empty", tmp_path / "data")
    with pytest.raises(DataError, match=r"none: no such folder; expected as --source"):
        prepare(preparation(), tmp_path / "none", tmp_path / "data")
    write_nih(tmp_path / "both")
    write_dicom(tmp_path / "both" / "a.dcm")
    with pytest.raises(DataError, match=r"has several layouts \(labels.csv with images.* and DICOM files"):
        prepare(preparation(), tmp_path / "both", tmp_path / "data")
    tables = write_chexpert(tmp_path / "column")
    tables["train"].drop(columns="Edema").to_csv(tmp_path / "column" / "train.csv", index=False)
    with pytest.raises(DataError, match=r"train.csv: no column 'Edema' \(edema\); found Path, Sex"):
        prepare(preparation(), tmp_path / "column", tmp_path / "data")


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
    prepare(preparation(), REAL, tmp_path / "data")
    records = records_of(tmp_path / "data")
    assert len(records) == 404
    positives = np.array([record["label"] for record in records.values()]).sum(axis=0)
    assert positives.tolist() == [57, 38, 55, 12, 51]
    assert not excluded(tmp_path / "data").size
