"""The commands use the modules of the repository they lie in, installed or not."""

from __future__ import annotations

import subprocess
import sys

import pytest

CODE = """
import importlib, runpy, sys
# as in a fresh clone: what an installation makes importable is forgotten
sys.meta_path = [finder for finder in sys.meta_path if "editable" not in repr(finder)]
sys.path = [entry for entry in sys.path if entry != sys.argv[2]]
runpy.run_path(sys.argv[1], run_name="imported")
print(importlib.import_module("shared").__path__[0])
"""


@pytest.mark.parametrize("name", ["prepare", "report", "reproduce", "benchmark"])
def test_shared_comes_from_the_repository_of_the_command(repository, tmp_path, name):
    script = repository / "scripts" / f"{name}.py"
    done = subprocess.run(
        [sys.executable, "-c", CODE, str(script), str(repository)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(repository / "shared")
