"""The runs of the study, in the order in which they are done: what matters most comes first."""

from __future__ import annotations

from dataclasses import dataclass, replace

from scripts.study.settings import StudySettings

__all__ = ["Run", "all_runs", "member_runs", "required_runs"]


@dataclass(frozen=True)
class Run:
    """One model, fitted once.

    Attributes:
        model: its name in the settings.
        repeat: number of the partition into folds, and seed of everything random.
        fold: number of the fold that is held out, from 0.
        member: number of the split of all other patients into training and validation, from 0; an ensemble has more
            than one.
    """

    model: str
    repeat: int
    fold: int
    member: int = 0

    @property
    def key(self) -> str:
        """Name of the run, and of its result's file."""
        member = f"_member{self.member + 1}" if self.member else ""
        return f"{self.model}/repeat{self.repeat + 1}_fold{self.fold + 1}{member}"


def all_runs(settings: StudySettings) -> list[Run]:
    """Return all runs: stage by stage, in each the repeats one after the other, in each all folds of a model.

    A run that other stages have had comes once. What a model needs of others comes before it.
    """
    ordered = [
        Run(model, repeat, fold)
        for stage in settings.stages
        for repeat in stage["repeats"]
        for model in stage["models"]
        for fold in range(settings.folds)
    ]
    runs: dict[Run, None] = {}
    for run in ordered:
        for needed in required_runs(settings, run):
            runs.setdefault(needed)
        runs.setdefault(run)
    return list(runs)


def member_runs(settings: StudySettings, run: Run) -> list[Run]:
    """Return the runs whose mean a run of an ensemble is; of any other model the run itself."""
    model = settings.models[run.model]
    if model["kind"] != "ensemble":
        return [run]
    return [replace(run, model=model["of"], member=member) for member in range(model["members"])]


def required_runs(settings: StudySettings, run: Run) -> list[Run]:
    """Return the runs of the same fold whose results or weights a run needs, each after those that it needs itself."""
    model = settings.models[run.model]
    if model["kind"] == "ensemble":
        direct = member_runs(settings, run)
    else:
        names = [*model.get("of", ()), *model.get("weights_from", {}).values()]
        direct = [replace(run, model=name) for name in names]
    found: dict[Run, None] = {}
    for needed in direct:
        for deeper in required_runs(settings, needed):
            found.setdefault(deeper)
        found.setdefault(needed)
    return list(found)
