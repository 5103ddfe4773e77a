"""From a table and a folder of images, the NIH's among them, to a datalist."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from shared.data.datalist import load_section, read_datalist
from tests.bundles.chexpert_informer.conftest import labels_of
from tests.bundles.chexpert_informer.prepared_chests import SECTIONS, prepare, reasons_of, records_of


@pytest.mark.parametrize("archive", [False, True])
def test_the_nihs_layouts(preparation, write_nih, tmp_path, archive):
    write_nih(tmp_path / "source", 64, archive)
    output = tmp_path / "data"
    prepare(preparation(), tmp_path / "source", output)
    content, records = read_datalist(output / "datalist.json"), records_of(output)
    assert content["info"]["layout"] == ("nih_archive" if archive else "nih")
    assert content["info"]["split_by"] == "patient"
    assert len(records) == 64
    for name, record in records.items():
        number = int(name[:8])
        assert record["patient"] == str(number // 2)
        assert record["label"] == labels_of(number % 32)
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
    prepare(preparation(**settings), tmp_path / "source", tmp_path / "data")
    tests = load_section(tmp_path / "data" / "datalist.json", "test")
    assert sorted(record["id"] for record in tests) == [name.removesuffix(".png") for name in names[48:]]


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
    prepare(preparation(), source, tmp_path / "data")
    reasons = reasons_of(tmp_path / "data")
    assert reasons["00000000_000.png"] == "no patient; images are split by patient"
    assert "consolidation is '3'" in reasons["00000001_000.png"]
    assert "no such file" in reasons["lost"]
    assert "lateral view" in reasons["00000003_000"]
    assert "does not say whether it is frontal" in reasons["00000004_000"]
    assert "is there twice: images/00000005_000.png and images/again" in reasons["00000005_000.png"]
    assert len(reasons) == 6
    prepare(preparation(unknown_view="keep"), source, tmp_path / "kept")
    assert "00000004_000" in records_of(tmp_path / "kept")
