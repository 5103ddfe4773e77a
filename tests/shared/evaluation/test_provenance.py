"""Provenance: true, complete and without private paths."""

from __future__ import annotations

import datetime
import getpass
import hashlib
import json
import platform
import runpy
import socket
import subprocess
import sys
from importlib import metadata

import pytest

from shared.evaluation.provenance import command_line, provenance


def test_fields(tmp_path, monkeypatch, repository):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    datalist, weights = tmp_path / "data" / "datalist.json", tmp_path / "model.pt"
    datalist.write_bytes(b"records")
    weights.write_bytes(b"weights")
    found = provenance(7, [datalist], [weights], packages=["numpy", "no-such-distribution"])
    assert found["seed"] == 7
    assert found["packages"] == {"numpy": metadata.version("numpy"), "no-such-distribution": None}
    assert found["data"] == [{"file": "data/datalist.json", "sha256": hashlib.sha256(b"records").hexdigest()}]
    assert found["weights"] == [{"file": "model.pt", "sha256": hashlib.sha256(b"weights").hexdigest()}]
    assert found["python"] == platform.python_version()
    age = datetime.datetime.now(datetime.UTC) - datetime.datetime.fromisoformat(found["date"])
    assert datetime.timedelta(0) <= age < datetime.timedelta(minutes=1)
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=repository, capture_output=True, text=True, check=False)
    expected = head.stdout.strip() or None
    assert (found["git_revision"] or "").removesuffix("+changes") == (expected or "")
    json.dumps(found, allow_nan=False)


def test_nothing_private(tmp_path, monkeypatch):
    """Neither the folder above the data nor the user's or machine's name is in the record."""
    monkeypatch.chdir(tmp_path)
    secret = tmp_path.parent / "mrs-jones"
    secret.mkdir(exist_ok=True)
    (secret / "datalist.json").write_text("{}")
    found = json.dumps(provenance(0, [secret / "datalist.json"], argv=["run.py", f"--data={secret}/datalist.json"]))
    for private in ("mrs-jones", str(tmp_path), f'"{getpass.getuser()}"', socket.gethostname()):
        assert private not in found


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"absent\.json"):
        provenance(0, [tmp_path / "absent.json"])


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ("/home/jones/data", "data"),
        ("/home/jones/my data/", "'my data'"),
        ("--dataset_dir=/home/jones/data set", "'--dataset_dir=data set'"),
        ("--config_file", "--config_file"),
        ("['/home/jones/a.json','b/c.json']", "\"['a.json','b/c.json']\""),
        ("[/home/jones/a.json,/home/jones/b.json]", "'[a.json,b.json]'"),
        ('{"path": "/home/jones/my data/x.h5"}', '\'{"path": "x.h5"}\''),
        ("~/study/data", "data"),
        ("~jones/data", "data"),
        ("C:\\Users\\jones\\data.json", "data.json"),
        ("--out=C:/Users/jones/x.json", "--out=x.json"),
        ("bundles/x/configs/train.json", "bundles/x/configs/train.json"),
        ("https://example.org/a/b", "https://example.org/a/b"),
        ("--rate=1/2", "--rate=1/2"),
        ("$@a / 2", "'$@a / 2'"),
        ("", "''"),
    ],
)
def test_arguments_lose_absolute_paths(argument, expected):
    assert command_line(["/usr/bin/tool.py", argument]) == f"tool.py {expected}"


def test_paths_below_the_working_directory_stay(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert command_line(["x.py", f"{tmp_path}/a/b.json", f"--c={tmp_path}/d"]) == "x.py a/b.json --c=d"


def test_module_is_named_as_it_was_started(tmp_path):
    (tmp_path / "tool.py").write_text("from shared.evaluation.provenance import command_line\nprint(command_line())\n")
    done = subprocess.run(
        [sys.executable, "-m", "tool", "--seed", "3"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "python -m tool --seed 3"
    done = subprocess.run(
        [sys.executable, str(tmp_path / "tool.py"), "run"], cwd="/", capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "tool.py run"


def test_no_revision_outside_a_clone(tmp_path):
    """A copy of the package inside some other project's clone must not report that project's revision."""
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    subprocess.run(
        [
            "git",
            "-C",
            str(tmp_path),
            "-c",
            "user.name=a",
            "-c",
            "user.email=a@b.c",
            "commit",
            "-q",
            "--allow-empty",
            "-m",
            "x",
        ],
        check=True,
    )
    source = provenance.__globals__["__file__"]
    copy = tmp_path / "provenance_copy.py"
    copy.write_text(open(source, encoding="utf-8").read())  # noqa: PTH123, SIM115
    assert runpy.run_path(str(copy))["provenance"](0)["git_revision"] is None
