"""The runs of the study, in the order in which they are done: what matters most comes first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from scripts.study.settings import StudySettings

__all__ = ["Experiment", "Run", "all_runs", "expected_minutes", "required_runs"]

Experiment = Literal["real", "phantoms", "shortcut"]


@dataclass(frozen=True)
class Run:
    """One network, trained and asked for its doubts.

    Attributes:
        experiment: ``real``, ``phantoms`` or ``shortcut``.
        seed: of everything random; for real images that of the partition into folds as well.
        fold: number of the fold that is held out, from 0; 0 for phantoms.
    """

    experiment: Experiment
    seed: int
    fold: int = 0

    @property
    def key(self) -> str:
        """Name of the run, and of its result's file."""
        if self.experiment == "real":
            return f"real/repeat{self.seed + 1}_fold{self.fold + 1}"
        return f"{self.experiment}/seed{self.seed}"


def all_runs(settings: StudySettings) -> list[Run]:
    """Return all runs: a cross-validation on real images, the phantoms, the shortcut, further cross-validations."""
    real = [Run("real", seed, fold) for seed in range(settings.real.repeats) for fold in range(settings.real.folds)]
    phantoms = [Run("phantoms", seed) for seed in settings.phantoms.seeds]
    shortcut = [Run("shortcut", seed) for seed in settings.shortcut.seeds]
    folds = settings.real.folds
    return [*real[:folds], *phantoms, *shortcut, *real[folds:]]


def required_runs(run: Run) -> list[Run]:
    """Return the runs whose results a run needs: the shortcut's network is compared with that of the same phantoms."""
    return [Run("phantoms", run.seed)] if run.experiment == "shortcut" else []


def expected_minutes(settings: StudySettings, run: Run) -> float:
    """Return what a run is expected to take on one core."""
    return float(getattr(settings, run.experiment).minutes)
