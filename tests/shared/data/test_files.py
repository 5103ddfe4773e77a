"""Files are whole or as they were."""

from __future__ import annotations

import hashlib
import signal
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest

from shared.data.errors import DataError
from shared.data.files import atomic_folder, atomic_path, read_json, restore_folder, sha256_file, write_json


def test_failure_leaves_the_old_file(tmp_path):
    target = tmp_path / "sub" / "numbers.json"
    write_json(target, {"a": [1, 2.5], "é": None})

    def interrupted():
        with atomic_path(target) as temporary:
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        interrupted()
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(target, {"a": float("nan")})
    assert read_json(target) == {"a": [1, 2.5], "é": None}
    assert [file.name for file in target.parent.iterdir()] == ["numbers.json"]


def test_suffixes_are_kept_and_permissions_are_usual(tmp_path):
    target = tmp_path / "map.nii.gz"
    with atomic_path(target) as temporary:
        nibabel.save(nibabel.Nifti1Image(np.ones((2, 3, 1), np.float32), np.eye(4)), temporary)
    assert nibabel.load(target).shape == (2, 3, 1)
    plain = tmp_path / "plain"
    plain.write_text("")
    assert target.stat().st_mode == plain.stat().st_mode
    assert sorted(file.name for file in tmp_path.iterdir()) == ["map.nii.gz", "plain"]


def test_a_folder_changes_as_a_whole(tmp_path):
    target = tmp_path / "ensemble"
    for files in (["weights", "fitted"], ["weights"]):
        with atomic_folder(target) as folder:
            for name in files:
                (folder / name).write_text("whole")
        assert sorted(file.name for file in target.iterdir()) == sorted(files)

    def interrupted():
        with atomic_folder(target) as folder:
            (folder / "weights").write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        interrupted()
    assert [(file.name, file.read_text()) for file in target.iterdir()] == [("weights", "whole")]
    (tmp_path / "usual").mkdir()
    assert target.stat().st_mode == (tmp_path / "usual").stat().st_mode
    assert sorted(file.name for file in tmp_path.iterdir()) == ["ensemble", "usual"]


KILLED = """
import os, signal, sys
from pathlib import Path
from shared.data.files import atomic_folder

target, replace = Path(sys.argv[1]), Path.replace

def killed(self, to):
    if to == target:
        os.kill(os.getpid(), signal.SIGKILL)
    return replace(self, to)

Path.replace = killed
with atomic_folder(target) as folder:
    (folder / "weights").write_text("new")
"""


@pytest.fixture
def left(tmp_path):
    """The place of a folder of weights whose exchange was killed between its two renames."""
    target = tmp_path / "models [1]"
    target.mkdir()
    (target / "weights").write_text("old")
    repository = Path(__file__).resolve().parents[3]
    done = subprocess.run([sys.executable, "-c", KILLED, str(target)], cwd=repository, check=False)
    assert done.returncode == -signal.SIGKILL
    assert not target.exists()
    return target


def test_a_folder_that_a_killed_process_left_is_put_back(left, caplog):
    assert restore_folder(left)
    assert [(file.name, file.read_text()) for file in left.iterdir()] == [("weights", "old")]
    assert f"{left}: put back from .models [1]-older-" in caplog.text
    assert not restore_folder(left), "it is there"


def test_the_next_to_replace_a_folder_finds_what_a_killed_process_left(left):
    with atomic_folder(left) as folder:
        (folder / "weights").write_text((left / "weights").read_text() + ", then new")
    assert (left / "weights").read_text() == "old, then new"
    left.rename(left.with_name("elsewhere"))
    assert not restore_folder(left), "what was replaced does not come back"


def test_a_folder_that_is_put_back_while_it_is_replaced_is_replaced(tmp_path, monkeypatch):
    """A reader without a lock looks for it between the two renames."""
    target, replace, restored = tmp_path / "models", Path.replace, []
    target.mkdir()
    (target / "weights").write_text("old")

    def read_between(self, to):
        if to == target and not restored:
            restored.append(restore_folder(target))
        return replace(self, to)

    monkeypatch.setattr(Path, "replace", read_between)
    with atomic_folder(target) as folder:
        (folder / "weights").write_text("new")
    assert restored == [True]
    assert (target / "weights").read_text() == "new"
    assert [file.name for file in tmp_path.iterdir()] == ["models"]


def test_an_interrupt_between_the_renames_leaves_the_older_folder_in_its_place(tmp_path, monkeypatch):
    target, replace = tmp_path / "models", Path.replace
    target.mkdir()
    (target / "weights").write_text("old")

    def interrupted(self, to):
        if to == target:
            raise KeyboardInterrupt
        return replace(self, to)

    monkeypatch.setattr(Path, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt), atomic_folder(target) as folder:
        (folder / "weights").write_text("new")
    assert (target / "weights").read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["models"]


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "ensemble").write_text("kept")
    with pytest.raises(NotADirectoryError, match="ensemble"), atomic_folder(tmp_path / "ensemble"):
        pass
    assert (tmp_path / "ensemble").read_text() == "kept"


def test_sha256(tmp_path):
    file = tmp_path / "bytes"
    file.write_bytes(b"abc")
    assert sha256_file(file) == hashlib.sha256(b"abc").hexdigest()


def test_bad_json_is_named(tmp_path):
    with pytest.raises(DataError, match=r"missing\.json: no such file"):
        read_json(tmp_path / "missing.json")
    broken = tmp_path / "broken.json"
    broken.write_text('{"a": ')
    with pytest.raises(DataError, match=r"broken\.json: not a valid JSON file"):
        read_json(broken)
