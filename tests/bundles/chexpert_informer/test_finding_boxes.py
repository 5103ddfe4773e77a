"""Boxes of the NIH's table: whose they are, where they lie on an image of any size, and what cannot be one."""

from __future__ import annotations

import json
import logging
from dataclasses import replace

import pandas as pd
import pytest

from shared.data.errors import DataError
from shared.data.prepare_settings import read_prepare_settings

COLUMNS = ["Image Index", "Finding Label", "Bbox [x", "y", "w", "h]"]


@pytest.fixture
def scripts(bundle_scripts):
    return bundle_scripts("chexpert_informer")


@pytest.fixture
def table(scripts, repository):
    """The reader with the bundle's own settings, but for images of 100 pixels."""
    config = json.loads((repository / "bundles/chexpert_informer/configs/prepare.json").read_text())
    settings = {key: value for key, value in config["boxes"].items() if key != "_target_"}
    settings |= {"names": config["nih_archive"]["names"], "image_size": 100}
    return scripts("finding_boxes").BoxTable(**settings)


def write(folder, rows, name="boxes.csv"):
    pd.DataFrame(rows, columns=COLUMNS).to_csv(folder / name, index=False)


@pytest.mark.parametrize("name", ["boxes.csv", "BBox_List_2017.csv"])
def test_boxes_are_shares_of_the_image(table, tmp_path, name, caplog):
    rows = [
        ("a.png", "Atelectasis", 10, 20, 30, 40),
        ("a.png", "Effusion", 50.5, 0, 10, 100),
        ("b.png", "atelectasis", 0, 0, 1, 1),
        ("a.png", "Atelectasis", 60, 60, 40.2, 10),
        ("a.png", "Mass", 1, 1, 1, 1),
    ]
    write(tmp_path, rows, name)
    with caplog.at_level(logging.INFO):
        boxes, excluded = table.read(tmp_path)
    assert boxes["a.png"]["atelectasis"][0] == pytest.approx([0.1, 0.2, 0.3, 0.4])
    assert boxes["a.png"]["atelectasis"][1] == pytest.approx([0.6, 0.6, 0.4, 0.1]), "cut at the edge"
    assert boxes["a.png"]["pleural_effusion"] == [pytest.approx([0.505, 0, 0.1, 1])]
    assert list(boxes["b.png"]) == ["atelectasis"]
    assert excluded == []
    assert "1 boxes of other findings are passed over" in caplog.text


@pytest.mark.parametrize(
    ("box", "fault"),
    [
        ((10, 10, 0, 10), r"a side that is not positive in \[10, 10, 0, 10\] pixels"),
        ((10, 10, 10, "wide"), "no number"),
        ((95, 10, 10, 10), "an edge outside the image"),
        ((-3, 10, 10, 10), "an edge outside the image"),
    ],
)
def test_what_cannot_be_a_box_is_listed_and_the_rest_used(table, tmp_path, box, fault):
    write(tmp_path, [("a.png", "Cardiomegaly", *box), ("b.png", "Cardiomegaly", 1, 1, 2, 2)])
    boxes, (excluded,) = table.read(tmp_path)
    assert list(boxes) == ["b.png"]
    assert (excluded.source, excluded.item, excluded.what) == ("boxes.csv", "a.png", "annotation")
    assert pd.Series([excluded.reason]).str.match(f"Cardiomegaly: {fault}").all(), excluded.reason


def test_tables_that_contradict_or_lack_a_column(table, tmp_path):
    assert table.read(tmp_path) == ({}, [])
    write(tmp_path, [])
    write(tmp_path, [], "BBox_List_2017.csv")
    assert {path.name for path in table.places(tmp_path)} == {"boxes.csv", "BBox_List_2017.csv"}
    with pytest.raises(DataError, match=r"holds both boxes\.csv and BBox_List_2017\.csv; keep the one"):
        table.read(tmp_path)
    (tmp_path / "BBox_List_2017.csv").unlink()
    with pytest.raises(DataError, match=r"boxes\.csv: no column 'sinister' \(left\); found Image Index"):
        replace(table, columns={**table.columns, "left": "sinister"}).read(tmp_path)


def test_boxes_lie_on_an_image_of_any_shape(scripts):
    boxes_of = scripts("finding_boxes").boxes_of
    record = {"id": "r", "boxes": {"edema": [[0.25, 0.5, 0.5, 0.25]]}}
    assert boxes_of(record, "edema", (200, 400)) == [(100, 100, 200, 50)]
    assert boxes_of(record, "atelectasis", (200, 400)) == []
    assert boxes_of({"id": "r"}, "edema", (200, 400)) == []


@pytest.mark.parametrize("archive", [False, True])
def test_preparing_carries_boxes_into_the_records(scripts, repository, write_nih, tmp_path, archive):
    source, names = tmp_path / "nih", [f"{number:08d}_000.png" for number in range(3)]
    write_nih(source, archive=archive)
    write(source, [(names[1], "Atelectasis", 256, 512, 128, 64), (names[2], "Effusion", 0, 0, 9999, 1)])
    root = repository / "bundles" / "chexpert_informer"
    config = read_prepare_settings(root / "configs" / "prepare.json", {"bundle_root": str(root), "workers": 1})
    preparation = config.get_parsed_content("prepare")
    preparation(source, tmp_path / "out", progress=False)
    content = json.loads((tmp_path / "out" / "datalist.json").read_text())
    records = [record for section in ("training", "validation", "test") for record in content[section]]
    assert len(records) == 40
    boxed = {record["id"]: record["boxes"] for record in records if "boxes" in record}
    assert boxed == {names[1].removesuffix(".png"): {"atelectasis": [[0.25, 0.5, 0.125, 0.0625]]}}
    excluded = pd.read_csv(tmp_path / "out" / "excluded.csv")
    assert excluded[["source", "item", "what"]].to_numpy().tolist() == [["boxes.csv", names[2], "annotation"]]
