"""The package as it is installed elsewhere: its wheel has all files, and is all that a bundle's package needs of it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from shared.export.package import stage_bundle, write_package
from tests.conftest import REPOSITORY
from tests.served_bundles import served_once

pytest.importorskip("setuptools", minversion="77", reason="building a wheel offline needs setuptools 77 or later")
pytestmark = pytest.mark.slow
NAME = "leukocyte_qpi"
SOURCES = ("pyproject.toml", "README.md", "LICENSE")

#: ``python -m monai.bundle …``, after telling where this project's package comes from
COMMAND = (
    "import runpy, shared; print(shared.__file__, flush=True); runpy.run_module('monai.bundle', run_name='__main__')"
)


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder with what is in the wheel. It is built from a copy: setuptools leaves files beside its sources."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for name in SOURCES:
        shutil.copy(REPOSITORY / name, source)
    shutil.copytree(REPOSITORY / "shared", source / "shared", ignore=shutil.ignore_patterns("__pycache__"))
    build = ["wheel", "--quiet", "--no-deps", "--no-build-isolation", "--disable-pip-version-check"]
    subprocess.run([sys.executable, "-m", "pip", *build, "--wheel-dir", str(folder), str(source)], check=True)
    (wheel,) = folder.glob("monai_explainable_bundles-*-py3-none-any.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "installed")
    return folder / "installed"


def files(folder):
    return {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_every_file_is_in_the_wheel_and_nothing_else(installed):
    assert files(installed / "shared") == files(REPOSITORY / "shared")
    assert [path.name for path in installed.iterdir() if path.suffix != ".dist-info"] == ["shared"]


def test_a_package_runs_with_the_wheel_alone(installed, tmp_path, tmp_path_factory):
    """Outside of the repository, by an interpreter that knows the libraries but no editable installation (``-S``)."""
    served = served_once(NAME, tmp_path_factory)
    for part in ("docs", "LICENSE"):
        source, target = REPOSITORY / "bundles" / NAME / part, tmp_path / NAME / part
        shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target)
    for part in ("configs", "scripts"):
        shutil.copytree(served.root / part, tmp_path / NAME / part)
    package = write_package(stage_bundle(tmp_path / NAME, tmp_path / "staged", served.root / "models"), tmp_path)
    elsewhere = tmp_path / "elsewhere"
    with zipfile.ZipFile(package) as archive:
        archive.extractall(elsewhere)
    libraries = {sysconfig.get_path(name) for name in ("purelib", "platlib")}
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(installed), *libraries])}
    cell = served.data / served.records("test")[0]["image"]
    config = f"{NAME}/configs/inference.json"
    arguments = ["run", "inferring", "--config_file", config, "--dataset_dir", str(cell), "--output_dir", "out"]
    command = [sys.executable, "-S", "-c", COMMAND, *arguments]
    done = subprocess.run(command, cwd=elsewhere, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert Path(done.stdout.splitlines()[0]).is_relative_to(installed)
    (row,) = pd.read_csv(elsewhere / "out" / "predictions.csv").to_dict("records")
    probabilities = [value for key, value in row.items() if key.startswith("probability_")]
    assert len(probabilities) == 4
    assert np.sum(probabilities) == pytest.approx(1, abs=1e-5)
