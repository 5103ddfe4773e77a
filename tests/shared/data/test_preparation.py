from __future__ import annotations

import pytest

from shared.data.datalist import read_datalist, write_datalist
from shared.data.errors import DataError
from shared.data.preparation import PreparedFolder


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "a.phase").write_text("aa")
    return folder


def _folder(source, output, **settings):
    files = sorted(source.iterdir())
    return PreparedFolder(output, source, files, settings, ("crops", "datalist.json"), ("training",))


def _finish(folder):
    folder.begin()
    (folder.output / "crops").mkdir(exist_ok=True)
    (folder.output / "crops" / "1.npy").write_text("x")
    write_datalist(folder.datalist, {"training": [{"id": "1", "image": "crops/1.npy"}]}, ["x"])
    folder.finish()


def test_complete_only_when_finished(source, tmp_path):
    folder = _folder(source, tmp_path / "out", size=50)
    assert not folder.is_complete()
    folder.begin()
    assert not folder.is_complete()
    _finish(folder)
    assert folder.is_complete()
    assert _folder(source, tmp_path / "out", size=50).is_complete()


def test_filling_collects_once_and_anew_when_told(source, tmp_path):
    calls = []

    def collect():
        calls.append((tmp_path / "out" / "crops").exists())
        (tmp_path / "out" / "crops").mkdir(exist_ok=True)
        (tmp_path / "out" / "crops" / "1.npy").write_text("x")
        return {"training": [{"id": "1", "image": "crops/1.npy"}]}, {"seed": 3}

    assert not _folder(source, tmp_path / "out", size=50).fill(collect, ["x", "y"])
    content = read_datalist(tmp_path / "out" / "datalist.json")
    assert (content["classes"], content["info"]["seed"]) == (["x", "y"], 3)
    assert _folder(source, tmp_path / "out", size=50).fill(collect, ["x", "y"])
    with pytest.raises(DataError, match="size 50 → 60"):
        _folder(source, tmp_path / "out", size=60).fill(collect, ["x", "y"])
    assert not _folder(source, tmp_path / "out", size=60).fill(collect, ["x", "y"], overwrite=True)
    assert calls == [False, False], "what was there is gone before it is collected anew"


def test_other_settings_or_source_are_refused(source, tmp_path):
    _finish(_folder(source, tmp_path / "out", optics={"wavelength": 528, "pixel": 0.36}))
    told = r"out: use --overwrite .*, or another --output; it was prepared otherwise \(optics\.wavelength 528 → 633\)"
    with pytest.raises(DataError, match=told):
        _folder(source, tmp_path / "out", optics={"wavelength": 633, "pixel": 0.36}).is_complete()
    source.rename(tmp_path / "other")
    with pytest.raises(DataError, match=r"source '\.\./source' → '\.\./other'"):
        _folder(tmp_path / "other", tmp_path / "out", optics={"wavelength": 528, "pixel": 0.36}).is_complete()


def test_an_unfinished_preparation_does_not_stand_in_the_way_of_another(source, tmp_path):
    before = _folder(source, tmp_path / "out", size=50)
    before.begin()
    (tmp_path / "out" / "crops").mkdir()
    assert not before.is_complete()
    assert (tmp_path / "out" / "crops").exists()
    assert not _folder(source, tmp_path / "out", size=40).is_complete()
    assert not (tmp_path / "out" / "crops").exists()


def test_changed_or_new_source_files_are_noticed(source, tmp_path):
    _finish(_folder(source, tmp_path / "out"))
    (source / "b.phase").write_text("b")
    assert not _folder(source, tmp_path / "out").is_complete()


def test_lost_crops_are_noticed_and_the_notes_of_what_is_done_dropped(source, tmp_path):
    folder = _folder(source, tmp_path / "out")
    _finish(folder)
    (tmp_path / "out" / "crops" / "1.npy").unlink()
    assert not folder.is_complete()
    assert not (tmp_path / "out" / "state").exists()


def test_an_edited_datalist_is_not_silently_replaced(source, tmp_path):
    folder = _folder(source, tmp_path / "out")
    _finish(folder)
    folder.datalist.write_text(folder.datalist.read_text() + " ")
    with pytest.raises(DataError, match="was changed after it was prepared"):
        folder.is_complete()


def test_foreign_files_are_refused_and_clearing_leaves_them(source, tmp_path):
    output = tmp_path / "out"
    (output / "crops").mkdir(parents=True)
    (output / "notes.txt").write_text("mine")
    folder = _folder(source, output)
    with pytest.raises(DataError, match="holds crops of unknown origin"):
        folder.is_complete()
    folder.clear()
    assert not folder.is_complete()
    assert [path.name for path in output.iterdir()] == ["notes.txt"]


def test_source_and_output_can_move_together(source, tmp_path):
    _finish(_folder(source, tmp_path / "out"))
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    source.rename(moved / "source")
    (tmp_path / "out").rename(moved / "out")
    assert _folder(moved / "source", moved / "out").is_complete()
