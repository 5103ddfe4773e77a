"""A command in a forked process does what it does in one of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from tests.warm_process import run_warm

SCRIPT = """
import json, multiprocessing, os, sys, pathlib
def double(number):
    return 2 * number
if __name__ == "__main__":
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        doubled = pool.map(double, [21])
    beside = {"shared", "tests", "scripts"} & set(sys.modules)
    print(json.dumps([sys.argv, os.getcwd(), sys.path[0], os.environ.get("TOLD"), __name__, doubled, sorted(beside)]))
    print("aside", file=sys.stderr)
    if sys.argv[1:] == ["fail"]:
        raise ValueError("what failed")
    if sys.argv[1:] == ["leave"]:
        sys.exit(3)
    if sys.argv[1:] == ["wait"]:
        import time
        time.sleep(60)
"""


@pytest.mark.parametrize("last", ["pass", "fail", "leave"])
@pytest.mark.parametrize("form", ["script", "module"])
def test_it_is_what_python_does(tmp_path, monkeypatch, form, last):
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    place = tmp_path if form == "module" else folder
    (place / "said.py").write_text(SCRIPT)
    arguments = ["-m", "said", last] if form == "module" else [str(folder / "said.py"), last]
    monkeypatch.setenv("TOLD", f"of {last}")
    found = run_warm(arguments, tmp_path)
    expected = subprocess.run([sys.executable, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert found.stdout == expected.stdout
    assert found.returncode == expected.returncode == {"pass": 0, "fail": 1, "leave": 3}[last]
    assert found.stderr.splitlines()[0] == "aside"
    assert found.stderr.splitlines()[-1] == expected.stderr.splitlines()[-1]


def test_a_process_that_lasts_too_long_is_ended(tmp_path):
    (tmp_path / "said.py").write_text(SCRIPT)
    done = run_warm(["-m", "said", "wait"], tmp_path, timeout=3)
    assert done.returncode == -signal.SIGALRM
    assert str(os.getpid()) not in done.stdout
