"""Files of requests as stations see them: linked under safe names, one folder, or alone where a folder differs."""

from __future__ import annotations

import pytest

from shared.data.errors import DataError
from shared.serving.items import Item
from shared.serving.staging import StagedFiles


def write(path, content="x"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def test_files_of_any_name_are_linked_under_their_keys(tmp_path):
    names = ["$(touch x) @a#b.PNG", "..png", "two.dots.png"]
    items = [Item(f"k{i}", write(tmp_path / "in" / name, name)) for i, name in enumerate(names)][::2]
    (staged,) = StagedFiles([".png"])(items, tmp_path / "out")
    assert staged.keys == ("k0", "k2")
    assert {path.name: path.read_text() for path in staged.source.iterdir()} == {
        "k0.png": names[0],
        "k2.png": names[2],
    }


def test_kinds_that_mean_something_else_in_a_folder_are_alone(tmp_path):
    items = [Item(f"k{i}", write(tmp_path / f"{i}{suffix}")) for i, suffix in enumerate([".png", ".dcm", ".dcm"])]
    staged = StagedFiles([".png", ".dcm"], alone=[".dcm"])(items, tmp_path / "out")
    assert [entry.keys for entry in staged] == [("k1",), ("k2",), ("k0",)]
    assert [entry.source.name for entry in staged] == ["k1.dcm", "k2.dcm", "together"]
    assert len({entry.source.parent for entry in staged[:2]}) == 2, "each in a folder of its own"


def test_kinds_that_would_hide_others_are_apart(tmp_path):
    items = [Item(f"k{i}", write(tmp_path / f"{i}{suffix}")) for i, suffix in enumerate([".tif", ".h5", ".tif", ".h5"])]
    staged = StagedFiles([".tif", ".h5"], apart=[".h5"])(items, tmp_path / "out")
    assert [entry.keys for entry in staged] == [("k0", "k2"), ("k1", "k3")]
    assert [sorted(path.name for path in entry.source.iterdir()) for entry in staged] == [
        ["k0.tif", "k2.tif"],
        ["k1.h5", "k3.h5"],
    ]


def test_only_lone_files_give_no_empty_folder_to_judge(tmp_path):
    staged = StagedFiles([".dcm"], alone=[".dcm"])([Item("a", write(tmp_path / "a.dcm"))], tmp_path / "out")
    assert [entry.source.name for entry in staged] == ["a.dcm"]


def test_the_folder_of_a_slide_comes_along(tmp_path):
    write(tmp_path / "in" / "slide" / "Slidedat.ini", "pixels")
    items = [Item("a", write(tmp_path / "in" / "slide.mrxs"))]
    (staged,) = StagedFiles([".mrxs"], companions=True)(items, tmp_path / "out")
    assert (staged.source / "a" / "Slidedat.ini").read_text() == "pixels"


@pytest.mark.parametrize("name", ["a.txt", "folder"])
def test_another_kind_is_refused(tmp_path, name):
    source = tmp_path / name
    source.mkdir() if name == "folder" else source.write_text("x")
    with pytest.raises(DataError, match=r"expected a file of kind \.png, \.npy"):
        StagedFiles([".png", ".npy"])([Item("a", source)], tmp_path / "out")
