"""What is there of the study, and what names it in a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from scripts.study.grid import BASELINE, Run
from scripts.study.held_out import HeldOut, held_out
from scripts.study.measures import Meter
from scripts.study.workshop import Workshop
from shared.study.repeats import whole_repeats

__all__ = ["Results", "names_of"]


def names_of(network: str, dropout: float | None, condition: str) -> dict[str, str]:
    """Return what names a row.

    Args:
        network: name of the network.
        dropout: dropout rate; None where there is none.
        condition: what is particular about the row.
    """
    rate = "" if dropout is None or network == BASELINE else f"{dropout:g}"
    return {"network": network, "dropout": rate, "condition": condition}


@dataclass
class Results:
    """What is there of a study.

    Args:
        workshop: shared by the runs.
        runs: all runs of the study.

    Attributes:
        done: runs with a result.
        found: held-out predictions that were asked for, by their runs.
        incomplete: seeds of which parts are missing and that were asked for, in words.
    """

    workshop: Workshop
    runs: Sequence[Run]
    done: set[Run] = field(init=False)
    found: dict[tuple[Run, ...], HeldOut | None] = field(default_factory=dict, init=False)
    incomplete: set[str] = field(default_factory=set, init=False)

    def __post_init__(self) -> None:
        self.done = {run for run in self.runs if self.workshop.is_done(run)}

    def groups(self, experiment: str) -> dict[tuple[str, float, float], list[Run]]:
        """Group the runs of an experiment by network, dropout rate and label noise."""
        groups: dict[tuple[str, float, float], list[Run]] = {}
        for run in self.runs:
            if run.experiment == experiment:
                groups.setdefault((run.network, run.dropout, run.label_noise), []).append(run)
        return groups

    def held_out(self, planned: Sequence[Run]) -> HeldOut | None:
        """Join the seeds all of whose parts are done; None if there is no such seed.

        Args:
            planned: runs that differ in seed and part only.
        """
        runs = tuple(planned)
        if runs in self.found:
            return self.found[runs]
        whole, lacking = whole_repeats(planned, self.done, lambda run: run.seed)
        for seed, (finished, number) in lacking.items():
            key = next(run.key for run in planned if run.seed == seed)
            self.incomplete.add(f"{key.rpartition('_')[0]}: {finished} of {number} parts")
        self.found[runs] = held_out(self.workshop, whole) if whole else None
        return self.found[runs]

    def meter(self, found: HeldOut) -> Meter:
        """Return what measures predictions of these cells."""
        settings = self.workshop.settings
        return Meter(found.labels, len(self.workshop.cells.classes), settings.n_bins, settings.resamples)
