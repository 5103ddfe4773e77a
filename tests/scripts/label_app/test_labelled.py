"""Labelled images of a datastore, of which some cannot be used."""

from __future__ import annotations

import json
import sys
import zipfile
from enum import StrEnum
from types import ModuleType, SimpleNamespace

import pytest

PATIENTS = SimpleNamespace(name="blood", takes_folders=True, image_suffixes=[".png"], upload_suffixes=[".zip"])
SAID = {"classes": ["reactive", "tumoral"], "multi_label": False}


class Tag(StrEnum):
    """What MONAI Label calls a label that counts."""

    FINAL = "final"


class Folder:
    """A datastore of one folder."""

    def __init__(self, folder):
        self.folder = folder

    def add(self, name, label):
        with zipfile.ZipFile(self.folder / f"{name}.zip", "w") as archive:
            archive.writestr("cell.png", b"1")
        (self.folder / f"{name}.json").write_text(json.dumps({"label": label, "model": "blood"}))
        return self.folder / f"{name}.zip"

    def get_labeled_images(self):
        return [path.stem for path in self.folder.glob("*.zip")]

    def get_image_uri(self, name):
        return str(self.folder / f"{name}.zip")

    def get_image_info(self, name):
        return {"age": 50, "name": name}

    def get_label_uri(self, name, tag):
        assert tag == "final"
        return str(self.folder / f"{name}.json")


@pytest.fixture
def labelled(lib, monkeypatch, tmp_path):
    """``labelled_items`` of a folder; MONAI Label itself is in another environment."""
    stub = ModuleType("monailabel.interfaces.datastore")
    stub.Datastore, stub.DefaultLabelTag = object, Tag
    for name in ("monailabel", "monailabel.interfaces"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, stub.__name__, stub)
    limits = lib("archives").ArchiveLimits()
    items = lib("labelled").labelled_items
    yield lambda datastore: items(datastore, PATIENTS, SAID, tmp_path / "unpacked", limits)
    sys.modules.pop("lib.labelled")


def test_one_broken_archive_does_not_keep_the_others_from_a_training(labelled, tmp_path, caplog):
    datastore = Folder(tmp_path)
    datastore.add("p1", "reactive")
    datastore.add("p2", "tumoral").write_bytes(b"PK cut short")
    datastore.add("p3", "of another app")
    (item,) = labelled(datastore)
    assert (item["label"], item["attributes"]) == ("reactive", {"age": 50})
    assert item["source"].endswith(item["key"])
    assert "blood: left out, p2: archive: cannot be read as ZIP" in caplog.text


def test_nothing_but_broken_archives(lib, labelled, tmp_path):
    Folder(tmp_path).add("p2", "tumoral").write_bytes(b"PK cut short")
    with pytest.raises(lib("errors").RequestError, match=r"no labels of blood .*; p2: archive: cannot be read"):
        labelled(Folder(tmp_path))
