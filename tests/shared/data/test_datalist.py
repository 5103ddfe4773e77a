from __future__ import annotations

import json

import pytest

from shared.data.datalist import load_section, read_datalist, section_if_any, write_datalist
from shared.data.errors import DataError


def _files(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")


def test_paths_are_relative_in_the_file_and_absolute_when_loaded(tmp_path):
    _files(tmp_path / "source", "a.npy", "b.npy")
    _files(tmp_path / "data", "crops/c.npy")
    records = [
        {"id": "1", "image": str(tmp_path / "source" / "a.npy"), "truth": "crops/c.npy", "label": 1},
        {"id": "2", "image": [str(tmp_path / "source" / "a.npy"), str(tmp_path / "source" / "b.npy")], "label": 0},
    ]
    datalist = tmp_path / "data" / "datalist.json"
    write_datalist(datalist, {"training": records, "test": []}, ["x", "y"], {"seed": 3})

    content = json.loads(datalist.read_text())
    assert content["classes"] == ["x", "y"]
    assert content["info"] == {"seed": 3}
    assert content["training"][0]["image"] == "../source/a.npy"
    assert content["training"][1]["image"] == ["../source/a.npy", "../source/b.npy"]

    loaded = load_section(datalist, "training")
    assert loaded[0] == {**records[0], "truth": str(tmp_path / "data" / "crops" / "c.npy")}
    assert loaded[1] == records[1]
    assert load_section(datalist, "test") == []


def test_a_data_set_can_be_moved_as_a_whole(tmp_path):
    _files(tmp_path / "old", "crops/c.npy")
    record = {"id": "1", "image": str(tmp_path / "old" / "crops" / "c.npy")}
    write_datalist(tmp_path / "old" / "datalist.json", {"test": [record]}, ["x"])
    (tmp_path / "old").rename(tmp_path / "new")
    assert load_section(tmp_path / "new" / "datalist.json", "test")[0]["image"] == str(tmp_path / "new/crops/c.npy")


def test_writing_changes_no_record(tmp_path):
    record = {"id": "1", "image": str(tmp_path / "a.npy")}
    write_datalist(tmp_path / "datalist.json", {"test": [record]}, ["x"])
    assert record == {"id": "1", "image": str(tmp_path / "a.npy")}


def test_missing_datalist_says_how_to_make_one(tmp_path):
    with pytest.raises(DataError, match=r"datalist\.json: no such datalist; write it with .*prepare\.py"):
        load_section(tmp_path / "datalist.json", "training")


def test_missing_section_names_those_found(tmp_path):
    write_datalist(tmp_path / "datalist.json", {"training": [], "outlier": []}, ["x"])
    with pytest.raises(DataError, match="no section 'test'; found outlier, training"):
        load_section(tmp_path / "datalist.json", "test")
    for reserved in ("classes", "info"):
        with pytest.raises(DataError, match=f"no section '{reserved}'"):
            load_section(tmp_path / "datalist.json", reserved)


def test_missing_file_is_named_with_the_number_of_them(tmp_path):
    _files(tmp_path, "here.npy")
    records = [{"id": name, "image": f"{name}.npy"} for name in ("here", "gone", "lost")]
    write_datalist(tmp_path / "datalist.json", {"test": records}, ["x"])
    with pytest.raises(DataError, match=r"2 file\(s\) of section 'test' do not exist, the first is .*gone\.npy"):
        load_section(tmp_path / "datalist.json", "test")
    loaded = load_section(tmp_path / "datalist.json", "test", require_files=False)
    assert [record["image"] for record in loaded] == [str(tmp_path / f"{r['id']}.npy") for r in records]


@pytest.mark.parametrize("text", ["[]", "{}", '"text"'])
def test_another_json_file_is_no_datalist(tmp_path, text):
    (tmp_path / "datalist.json").write_text(text)
    with pytest.raises(DataError, match="not a datalist"):
        read_datalist(tmp_path / "datalist.json")


def test_reserved_names_cannot_be_sections(tmp_path):
    with pytest.raises(ValueError, match="may not be called info"):
        write_datalist(tmp_path / "datalist.json", {"info": []}, ["x"])


def edited(tmp_path, **changes):
    sections = {
        name: [{"id": f"{name}{i}", "label": i, "donor": f"{name} donor", **changes.get(name, {})} for i in range(2)]
        for name in ("training", "validation", "test")
    }
    write_datalist(tmp_path / "datalist.json", sections, ["a", "b"])
    return tmp_path / "datalist.json"


def test_donor_in_two_sections_is_refused(tmp_path):
    assert len(load_section(edited(tmp_path), "test")) == 2
    path = edited(tmp_path, test={"donor": "training donor"})
    with pytest.raises(DataError, match=r"datalist\.json: donor 'training donor' in 'training' .* and 'test'"):
        load_section(path, "training")


@pytest.mark.parametrize("label", [2, -1, "a", 0.5, None])
def test_label_that_is_no_class_is_refused(tmp_path, label):
    path = edited(tmp_path, validation={"label": label})
    with pytest.raises(DataError, match=rf"record 'validation0' of section 'validation' has label {label!r}; expected"):
        load_section(path, "validation")


@pytest.mark.parametrize("key", ["donor", "patient", "slide"])
def test_the_group_may_have_another_name(tmp_path, key):
    sections = {
        name: [{"id": name, "label": 0, key: "same" if name != "validation" else "other"}]
        for name in ("training", "validation", "test")
    }
    write_datalist(tmp_path / "datalist.json", sections, ["a"])
    group_key = {"group_key": key} if key == "slide" else {}  # donors and patients are known by themselves
    with pytest.raises(DataError, match=f"{key} 'same' in 'training' .* and 'test'"):
        load_section(tmp_path / "datalist.json", "training", **group_key)


def test_a_section_that_may_be_missing(tmp_path):
    _files(tmp_path, "a.npy")
    records = [{"id": "1", "image": str(tmp_path / "a.npy"), "label": 0}]
    write_datalist(tmp_path / "datalist.json", {"training": records}, ["x"])
    assert section_if_any(tmp_path, "training") == records
    assert section_if_any(tmp_path / "datalist.json", "training") == records
    assert section_if_any(tmp_path, "validation") == []
    assert section_if_any(tmp_path / "a.npy", "training") == []
    (tmp_path / "a.npy").unlink()
    with pytest.raises(DataError, match="do not exist"):
        section_if_any(tmp_path, "training")
