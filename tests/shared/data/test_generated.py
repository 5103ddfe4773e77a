from __future__ import annotations

import pytest

from shared.data.errors import DataError
from shared.data.generated import generate_once, generated_parameters


def test_generated_once_per_parameters(tmp_path):
    calls = []

    def write(folder):
        calls.append(folder)
        (folder / f"file{len(calls)}").write_text("x")

    target = tmp_path / "recordings"
    assert generate_once(target, write, {"seed": 0, "shape": (3, 4)})
    assert not generate_once(target, write, {"seed": 0, "shape": [3, 4]})
    assert len(calls) == 1
    with pytest.raises(DataError, match=r"use --overwrite .* other parameters \(seed 0 → 1\)"):
        generate_once(target, write, {"seed": 1, "shape": (3, 4)})
    assert generate_once(target, write, {"seed": 1, "shape": (3, 4)}, overwrite=True)
    assert not (target / "file1").exists()
    assert (target / "file2").exists()


def test_after_an_interruption_it_goes_on_in_the_same_folder(tmp_path):
    def interrupted(folder):
        (folder / "first").write_text("whole")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generate_once(tmp_path / "out", interrupted, {"seed": 0})
    seen = []
    assert generate_once(tmp_path / "out", lambda folder: seen.extend(folder.glob("first")), {"seed": 0})
    assert len(seen) == 1


def test_an_incomplete_folder_of_other_parameters_is_begun_anew(tmp_path):
    def failing(folder):
        (folder / "first").write_text("whole")
        raise ValueError("no such variant")

    with pytest.raises(ValueError, match="no such variant"):
        generate_once(tmp_path / "out", failing, {"variant": "foo"})
    seen = []
    assert generate_once(tmp_path / "out", lambda folder: seen.extend(folder.glob("first")), {"variant": "plain"})
    assert seen == []


def test_a_folder_of_the_user_is_not_touched(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "data").write_text("precious")
    with pytest.raises(DataError, match="was not generated here"):
        generate_once(tmp_path / "mine", lambda folder: None, {})
    assert (tmp_path / "mine" / "data").read_text() == "precious"


def test_files_of_a_generated_folder_know_their_parameters(tmp_path):
    file = tmp_path / "data" / "smears" / "images" / "P0" / "000000.jpg"

    def write(folder):
        (folder / "images" / "P0").mkdir(parents=True)
        file.write_bytes(b"x")

    generate_once(tmp_path / "data" / "smears", write, {"seed": 3, "parameters": None})
    assert generated_parameters(file) == {"seed": 3, "parameters": None}
    assert generated_parameters(tmp_path / "data" / "real.jpg") is None
