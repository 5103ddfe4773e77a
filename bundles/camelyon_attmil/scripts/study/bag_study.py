"""A study of one kind of bags, from its data to its table."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from scripts.study.bag_parts import data_sha256
from scripts.study.grid import Run, all_runs
from scripts.study.one_run import do_run
from scripts.study.pictures import write_pictures
from scripts.study.results import BagResults
from scripts.study.settings import read_settings
from scripts.study.table import build_table
from scripts.study.workshop import BagWorkshop
from shared.study.page import write_table
from shared.study.pool import Pool
from shared.study.run import Outcome

__all__ = ["run_bag_study"]

#: so many short trainings are worth the start of a process
RUNS_OF_A_PROCESS = 100


def run_bag_study(
    study: str,
    data: Path,
    output: Path,
    mode: str = "default",
    seeds: int | None = None,
    workers: int = 2,
    table_only: bool = False,
) -> Outcome:
    """Do all runs that are not yet done, and write the table.

    Args:
        study: name of its section in ``study.json``.
        data: folder of the data.
        output: folder for results, table and pictures.
        mode: ``default``, ``quick`` or ``full``.
        seeds: at most so many repeats.
        workers: processes.
        table_only: only write the table of what is there.
    """
    settings = read_settings(study, mode, seeds)
    sha256 = {condition: data_sha256(settings, data, condition) for condition in settings.conditions}
    workshop = BagWorkshop(output, data, sha256, settings)
    runs = all_runs(settings)
    failures: dict[str, str] = {}
    if not table_only:
        pool: Pool[Run] = Pool(
            action=partial(do_run, workshop),
            is_done=workshop.is_done,
            failures_file=output / "failures.json",
            workers=workers,
            cost=lambda run: settings.conditions[run.condition]["minutes"],
            runs_of_a_process=RUNS_OF_A_PROCESS,
        )
        failures = pool(runs)
    results = BagResults(workshop, runs)
    pictures = write_pictures(output, results)
    return Outcome(write_table(output, build_table(results, read_settings(study, "full"), pictures)), failures)
