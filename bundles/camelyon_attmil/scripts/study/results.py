"""From the results of single runs to one set of held-out predictions per repeat, each bag predicted once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from scripts.study.grid import Run
from scripts.study.workshop import BagWorkshop
from shared.study.repeats import join_parts, whole_repeats

__all__ = ["BagResults", "HeldOutBags"]


@dataclass(frozen=True)
class HeldOutBags:
    """What the networks of S repeats say of B bags.

    Attributes:
        repeats: numbers of the S repeats, which tell them apart where one network lacks some of another's.
        labels: ``(B,)``.
        logits: ``(S, B)``.
        folds: fold in which a bag was held out, ``(S, B)``.
        instance_auc: ``(S, B)``, see :func:`scripts.study.one_run.do_run`; None if the network values no instances.
    """

    repeats: tuple[int, ...]
    labels: NDArray[np.int64]
    logits: NDArray[np.float64]
    folds: NDArray[np.int64]
    instance_auc: NDArray[np.float64] | None


@dataclass
class BagResults:
    """What is there of a study.

    Args:
        workshop: shared by the runs.
        runs: all runs of the study.

    Attributes:
        done: runs with a result.
        found: by condition and model the held-out bags of all whole repeats.
        incomplete: repeats of which runs are missing, in words.
    """

    workshop: BagWorkshop
    runs: Sequence[Run]
    done: set[Run] = field(init=False)
    found: dict[tuple[str, str], HeldOutBags] = field(default_factory=dict, init=False)
    incomplete: list[str] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        self.done = {run for run in self.runs if self.workshop.is_done(run)}
        settings = self.workshop.settings
        for condition in settings.conditions:
            for model in settings.models:
                runs = [run for run in self.runs if (run.condition, run.model) == (condition, model)]
                whole, lacking = whole_repeats(runs, self.done, lambda run: run.repeat)
                title = f"{settings.conditions[condition]['title']}, {settings.models[model]['title']}"
                self.incomplete += [
                    f"{title}, repeat {repeat + 1}: {finished} of {number} runs"
                    for repeat, (finished, number) in lacking.items()
                ]
                if whole:
                    self.found[condition, model] = self._joined(whole)

    def _joined(self, repeats: Mapping[int, Sequence[Run]]) -> HeldOutBags:
        joined = []
        for runs in repeats.values():
            results = [self.workshop.result(run) for run in runs]
            indices = [result["test_index"] for result in results]
            parts = [
                {
                    "labels": result["test_labels"],
                    "logits": result["test_logits"],
                    "folds": np.full(len(result["test_index"]), run.fold),
                    **({"instance_auc": result["instance_auc"]} if "instance_auc" in result else {}),
                }
                for run, result in zip(runs, results, strict=True)
            ]
            joined.append(join_parts(indices, parts)[1])
        valued = "instance_auc" in joined[0]
        return HeldOutBags(
            tuple(repeats),
            joined[0]["labels"],
            np.stack([part["logits"] for part in joined]),
            np.stack([part["folds"] for part in joined]),
            np.stack([part["instance_auc"] for part in joined]) if valued else None,
        )
