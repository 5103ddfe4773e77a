"""What requests say: parameters, labels and the files that they point at."""

from __future__ import annotations

import json
import zipfile
from types import SimpleNamespace

import pytest

IMAGES = SimpleNamespace(name="chest", takes_folders=False, image_suffixes=[".png"], upload_suffixes=[".png"])
PATIENTS = SimpleNamespace(name="blood", takes_folders=True, image_suffixes=[".png"], upload_suffixes=[".zip"])


@pytest.fixture
def item(lib, tmp_path):
    def make(source, model, name="P 1/left", **attributes):
        inputs = lib("inputs")
        limits = lib("archives").ArchiveLimits()
        return inputs.item_of(inputs.Input(name, source, attributes), model, tmp_path / "unpacked", limits)

    return make


def test_an_image(item, tmp_path):
    (tmp_path / "a.png").write_bytes(b"1")
    found = item(tmp_path / "a.png", IMAGES, age=50, path="/x", strategy={"random": 1})
    assert found["source"] == str(tmp_path / "a.png")
    assert found["attributes"] == {"age": 50}, "only what is known of a patient"
    assert found["key"].startswith("P_1_left-")


def test_keys_of_different_names_differ(lib):
    names = ["a.png", "a_png", "A.png", "a png", "ä.png", "x" * 300, "x" * 301, "", "..", "\udcff"]
    keys = {lib("inputs").key_of(name) for name in names}
    assert len(keys) == len(names)
    assert all(key.replace("_", "").replace("-", "").isalnum() and len(key) <= 120 for key in keys)


def test_a_session_of_one_image(item, tmp_path):
    folder = tmp_path / "session"
    folder.mkdir()
    (folder / "notes.txt").write_text("x")
    (folder / "a.png").write_bytes(b"1")
    assert item(folder, IMAGES)["source"] == str(folder / "a.png")


def test_a_session_of_several_images_is_for_patients(lib, item, tmp_path):
    folder = tmp_path / "session"
    folder.mkdir()
    for name in "ab":
        (folder / f"{name}.png").write_bytes(b"1")
    assert item(folder, PATIENTS)["source"] == str(folder)
    with pytest.raises(lib("errors").RequestError, match="found 2 images, chest judges one at a time"):
        item(folder, IMAGES)


def test_an_archive_is_unpacked_for_patients_only(lib, item, tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr("cells/a.png", b"1")
    found = item(tmp_path / "a.zip", PATIENTS, age=50, lymphocyte_count=8.5)
    assert (tmp_path / "unpacked" / found["key"] / "cells" / "a.png").read_bytes() == b"1"
    assert found["attributes"] == {"age": 50, "lymphocyte_count": 8.5}
    with pytest.raises(lib("errors").RequestError) as refused:
        item(tmp_path / "a.zip", IMAGES)
    assert refused.value.status == 415


def test_one_image_is_no_patient(lib, item, tmp_path):
    (tmp_path / "a.png").write_bytes(b"1")
    with pytest.raises(lib("errors").RequestError, match="judges all images of a patient together"):
        item(tmp_path / "a.png", PATIENTS)


def test_an_image_that_changed_has_another_version(lib, tmp_path):
    file = tmp_path / "a.png"
    file.write_bytes(b"1")
    versions = [
        lib("inputs").Input("a", file, {"age": 5}).version(),
        lib("inputs").Input("a", file, {"age": 6}).version(),
    ]
    file.write_bytes(b"12")
    versions.append(lib("inputs").Input("a", file, {"age": 5}).version())
    assert len(set(versions)) == 3


class TestParameters:
    """``params`` of a request."""

    def read(self, lib, text):
        parameters = lib("parameters")
        return parameters.InferParameters.of_json(parameters.read_object(text))

    def test_known_ones(self, lib):
        found = self.read(
            lib, '{"explain": true, "method": "lime", "target_class": null, "age": 61.5, "client_id": "x"}'
        )
        assert (found.explain, found.method, found.target_class, found.file) == (True, "lime", None, "overlay_png")
        assert found.attributes == {"age": 61.5}

    def test_none(self, lib):
        assert self.read(lib, "").explain is None

    @pytest.mark.parametrize(
        "text",
        ["x", "[]", "3", "null", '{"explain": "yes"}', '{"method": ["lime"]}', '{"image": "/etc/passwd"}',
         '{"age": {}}', '{"age": true}', '{"methods": "lime"}', "[" * 100_000,
         '{"age": NaN}', '{"age": 1e999}', '{"patient": "\\ud800"}', '{"\\ud800": 1}'],
    )  # fmt: skip
    def test_wrong_ones(self, lib, text):
        with pytest.raises(lib("errors").RequestError, match="params"):
            self.read(lib, text)


class TestLabels:
    """Labels as people save them."""

    @pytest.mark.parametrize(
        ("content", "label"),
        [
            ({"label": "neutrophil"}, "neutrophil"),
            ({"label": {"edema": 1}}, {"edema": 1}),
            ({"edema": 1, "atelectasis": 0, "model": "chest"}, {"edema": 1, "atelectasis": 0}),
        ],
    )
    def test_both_kinds(self, lib, content, label):
        assert lib("labels").label_in(content) == label

    @pytest.mark.parametrize(
        "content", [{}, {"label": 3}, {"label": {}}, {"edema": 2}, {"edema": True}, {"label": ["a"]}]
    )
    def test_what_is_none(self, lib, content):
        with pytest.raises(lib("errors").RequestError, match="label: found"):
            lib("labels").label_in(content)

    def test_whose_it_is(self, lib):
        fits = lib("labels").fits
        assert fits("a", ["a", "b"], False)
        assert not fits("a", ["a", "b"], True)
        assert not fits("c", ["a", "b"], False)
        assert fits({"b": 0}, ["a", "b"], True)
        assert not fits({"b": 0}, ["a", "b"], False)
        assert not fits({"b": 0, "c": 1}, ["a", "b"], True)

    @pytest.mark.parametrize("content", [b"\xff\xfe", b"[1]", b"", b"x" * 70_000])
    def test_files_that_are_none(self, lib, tmp_path, content):
        (tmp_path / "l.json").write_bytes(content)
        if not content:
            assert lib("labels").read_label(tmp_path / "l.json") == {}
            return
        with pytest.raises(lib("errors").RequestError):
            lib("labels").read_label(tmp_path / "l.json")

    def test_a_file(self, lib, tmp_path):
        (tmp_path / "l.json").write_text(json.dumps({"label": "größe"}))
        assert lib("labels").read_label(tmp_path / "l.json") == {"label": "größe"}
