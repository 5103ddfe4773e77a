"""A bundle's commands as a user types them, each in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


class BundleCommands:
    """The commands of one bundle, as arguments of Python.

    Args:
        name: of the bundle.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.configs = REPOSITORY / "bundles" / name / "configs"

    def command(self, run_id: str, configs: list[str], **overrides: Any) -> list[str]:
        """``python -m monai.bundle run`` with configs by their names, and keys that replace those of the configs."""
        files = str([str(self.configs / f"{name}.json") for name in configs])
        return ["-m", "monai.bundle", "run", run_id, "--config_file", files, *options(overrides)]

    def prepare_phantom(self, folder: Path, **overrides: Any) -> list[str]:
        """``python scripts/prepare.py --phantom`` into a folder."""
        script = str(REPOSITORY / "scripts" / "prepare.py")
        return [script, self.name, "--phantom", "--output", str(folder), *options(overrides)]


def options(values: dict[str, Any]) -> list[str]:
    """Keys and values as options of a command line."""
    return [part for key, value in values.items() for part in (f"--{key}", str(value))]


def run(arguments: list[str], cwd: Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run Python with these arguments; what it says when it fails is the test's message."""
    done = subprocess.run([sys.executable, *arguments], cwd=cwd, capture_output=True, text=True, timeout=900)
    if check and done.returncode:
        pytest.fail(f"{' '.join(arguments)}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    return done


def last_line(arguments: list[str], cwd: Path) -> str:
    """The last line that a command prints that must fail: what a user reads first."""
    done = run(arguments, cwd, check=False)
    assert done.returncode != 0
    return done.stderr.strip().splitlines()[-1]


def folders(work: Path) -> dict[str, Path]:
    """Where training keeps its weights and its log."""
    return {"ckpt_dir": work / "models", "tensorboard_dir": work / "logs"}


def read(work: Path, name: str) -> Any:
    """The content of a JSON file."""
    return json.loads((work / name).read_text())
