"""The runs of a study of bags, in the order in which they are done: one repeat of everything, then the next."""

from __future__ import annotations

from dataclasses import dataclass

from scripts.study.settings import BagStudySettings

__all__ = ["Run", "all_runs"]


@dataclass(frozen=True)
class Run:
    """One network, trained once.

    Attributes:
        condition: data set, or number and size of bags: a name of the settings.
        model: its name in the settings.
        repeat: number of the partition into folds or of the drawing of bags, from 0.
        fold: number of the fold that is held out, from 0.
    """

    condition: str
    model: str
    repeat: int
    fold: int = 0

    @property
    def key(self) -> str:
        """Name of the run, and of its result's file."""
        return f"{self.condition}/{self.model}/repeat{self.repeat + 1}_fold{self.fold + 1}"

    @property
    def seed(self) -> int:
        """Seed of everything random in the run; networks of other models begin with the same."""
        return 1000 * self.repeat + self.fold


def all_runs(settings: BagStudySettings) -> list[Run]:
    """Return all runs of a study."""
    return [
        Run(condition, model, repeat, fold)
        for repeat in range(settings.repeats)
        for condition in settings.conditions
        for model in settings.models
        for fold in range(settings.folds)
    ]
