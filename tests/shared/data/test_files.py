"""Files are whole or as they were."""

from __future__ import annotations

import hashlib

import nibabel
import numpy as np
import pytest

from shared.data.errors import DataError
from shared.data.files import atomic_folder, atomic_path, read_json, sha256_file, write_json


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
