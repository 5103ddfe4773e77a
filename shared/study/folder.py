"""A study's folder: the results of its runs, and what tells whether they may be reused."""

from __future__ import annotations

import json
import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic

import numpy as np
from numpy.typing import NDArray

from shared.data.errors import DataError
from shared.data.files import atomic_path
from shared.study.run import AnyRun

__all__ = ["StudyFolder"]

FACTS = "facts"


@dataclass(frozen=True)
class StudyFolder(ABC, Generic[AnyRun]):
    """Keeps the result of each run as one npz file: its arrays, and as JSON what it says about itself.

    Args:
        output: the folder.
    """

    output: Path

    @abstractmethod
    def recipe(self, run: AnyRun) -> str:
        """Return what the result of a run depends on; a result with another recipe is not reused.

        The code is not part of it: delete the study's folder after changing how models or training work.
        """

    def result_path(self, run: AnyRun) -> Path:
        """Return where the result of a run is."""
        return self.output / "runs" / f"{run.key}.npz"

    def is_done(self, run: AnyRun) -> bool:
        """Tell whether a run's result is there and was made by the same recipe."""
        return self.result_path(run).is_file() and bool(self.facts(run)["recipe"] == self.recipe(run))

    def result(self, run: AnyRun) -> dict[str, NDArray[Any]]:
        """Return the arrays of a run's result.

        Raises:
            DataError: if there is none.
        """
        path = self.result_path(run)
        if not path.is_file():
            raise DataError(f"{path}: no such result; do the run {run.key} first")
        with np.load(path, allow_pickle=False) as result:
            return {name: result[name] for name in result.files if name != FACTS}

    def facts(self, run: AnyRun) -> dict[str, Any]:
        """Return what the result of a run says about itself: its ``recipe``, the ``seconds`` it took, and so on."""
        with np.load(self.result_path(run), allow_pickle=False) as result:
            facts: dict[str, Any] = json.loads(str(result[FACTS]))
        return facts

    def write_result(
        self, run: AnyRun, arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, Any], seconds: float
    ) -> None:
        """Write a result atomically.

        Args:
            run: whose result it is.
            arrays: of the result.
            facts: what it says about itself besides its recipe and its time.
            seconds: what the run took.
        """
        said = json.dumps({**facts, "recipe": self.recipe(run), "seconds": seconds})
        content: dict[str, Any] = {**arrays, FACTS: np.array(said)}
        with atomic_path(self.result_path(run)) as temporary:
            np.savez_compressed(temporary, **content)

    @contextmanager
    def workspace(self, run: AnyRun) -> Iterator[Path]:
        """Yield a folder for what a run needs on the way: up to a hundred megabytes, so it is deleted afterwards."""
        folder = self.output / "work" / run.key
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
