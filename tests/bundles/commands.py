"""A bundle's commands as a user types them, each in a process of its own.

That process is forked from one that has imported the libraries (:mod:`tests.warm`). Of each bundle one training, which
is killed, and one evaluation are not: they show that the bundle itself imports what it needs.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.warm import run_warm

REPOSITORY = Path(__file__).resolve().parents[2]
#: before ``-m MODULE …``: two processes, as ``torchrun`` starts them
TWO_PROCESSES = [str(Path(__file__).with_name("ranks.py"))]


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

    def train_undisturbed_and_killed(self, work: Path, *, max_epochs: int, **settings: Any) -> tuple[Path, Path]:
        """Train twice; the second process is killed in the middle of an epoch and resumed.

        What resumes must end where the undisturbed run ends, which is asserted for the weights of ``model.pt``.

        Returns:
            The folders of the weights of both.
        """
        whole, cut = work / "whole", work / "cut"
        settings["max_epochs"] = max_epochs
        run(self.command("training", ["train"], **settings, **folders(whole)), work)
        arguments = self.command("training", ["train"], **settings, **folders(cut))
        process = subprocess.Popen(
            [sys.executable, *arguments], cwd=work, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
        state = cut / "models" / "training_state.pt"
        deadline = time.monotonic() + 600
        while not state.is_file() and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        epoch = torch.load(state, weights_only=True)["epoch"]
        assert 1 <= epoch < max_epochs, "the process was killed before it was done"
        run(arguments, work)
        assert torch.load(state, weights_only=True)["epoch"] == max_epochs
        expected = torch.load(whole / "models" / "model.pt", weights_only=True)
        assert_equal_weights(torch.load(cut / "models" / "model.pt", weights_only=True), expected)
        return whole / "models", cut / "models"


def assert_equal_weights(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    """Two state dicts have the same keys and, to the bit, the same tensors."""
    assert found.keys() == expected.keys()
    assert all(torch.equal(expected[key], found[key]) for key in expected)


def assert_equal_states(found: Path, expected: Path) -> None:
    """Two runs ended in the same state: scheduler, and the network of the last epoch, not only the best."""
    states = [torch.load(folder / "training_state.pt", weights_only=True)["objects"] for folder in (found, expected)]
    assert states[0]["scheduler"] == states[1]["scheduler"]
    assert_equal_weights(states[0]["network"], states[1]["network"])


def options(values: dict[str, Any]) -> list[str]:
    """Keys and values as options of a command line."""
    return [part for key, value in values.items() for part in (f"--{key}", str(value))]


def run(arguments: list[str], cwd: Path, check: bool = True, fresh: bool = False) -> subprocess.CompletedProcess[str]:
    """Run Python with these arguments; what it says when it fails is the test's message.

    Args:
        arguments: of Python.
        cwd: working directory.
        check: fail the test if the command fails.
        fresh: start an interpreter that has imported nothing.
    """
    arguments = [str(argument) for argument in arguments]
    if fresh:
        done = subprocess.run([sys.executable, *arguments], cwd=cwd, capture_output=True, text=True, timeout=900)
    else:
        done = run_warm(arguments, cwd)
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
