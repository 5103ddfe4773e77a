"""What is written is read back, and reused only if its recipe is the same."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from shared.data.errors import DataError
from shared.study.folder import StudyFolder


@dataclass(frozen=True)
class Letter:
    key: str


@dataclass(frozen=True)
class Letters(StudyFolder[Letter]):
    alphabet: str

    def recipe(self, run):
        return f"{run.key} of {self.alphabet}"


@pytest.fixture
def letters(tmp_path):
    return Letters(tmp_path, "latin")


def test_a_result_is_read_back(letters):
    run = Letter("capital/A")
    assert not letters.is_done(run)
    with pytest.raises(DataError, match="do the run capital/A first"):
        letters.result(run)
    letters.write_result(run, {"x": np.arange(3), "y": np.ones((2, 2), np.float32)}, {"best_epoch": 4}, seconds=1.5)
    assert letters.result_path(run) == letters.output / "runs" / "capital" / "A.npz"
    result = letters.result(run)
    assert set(result) == {"x", "y"}
    np.testing.assert_array_equal(result["x"], [0, 1, 2])
    assert result["y"].dtype == np.float32
    assert letters.facts(run) == {"best_epoch": 4, "recipe": "capital/A of latin", "seconds": 1.5}


def test_another_recipe_makes_it_invalid(letters):
    run = Letter("A")
    letters.write_result(run, {}, {}, seconds=1.0)
    assert letters.is_done(run)
    assert not Letters(letters.output, "greek").is_done(run)


def test_nothing_of_the_workspace_stays_whatever_happens(letters):
    def fill(run):
        with letters.workspace(run) as folder:
            folder.mkdir(parents=True)
            (folder / "model.pt").write_bytes(b"x")
            raise MemoryError

    with pytest.raises(MemoryError):
        fill(Letter("A"))
    assert not list(letters.output.rglob("*.pt"))
