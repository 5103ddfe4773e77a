"""The study from its data to its page."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from scripts.study.grid import Run, all_runs, expected_minutes, required_runs
from scripts.study.one_run import do_run
from scripts.study.real_images import read_radiographs
from scripts.study.settings import BUNDLE_ROOT, StudySettings, read_settings
from scripts.study.table import Results, build_table
from scripts.study.workshop import Workshop
from shared.study.page import write_table
from shared.study.pool import Pool
from shared.study.run import Outcome
from shared.study.training import check_keys, read_train_config

__all__ = ["run_study"]


def run_study(
    data: Path,
    output: Path,
    mode: str = "default",
    seeds: int | None = None,
    workers: int = 2,
    table_only: bool = False,
) -> Outcome:
    """Do all runs that are not yet done, and write the table.

    Args:
        data: folder of real radiographs, in a layout that preparing knows.
        output: folder for results, weights and table.
        mode: ``default``, ``quick`` or ``full``.
        seeds: at most so many cross-validations, and seeds of the phantoms.
        workers: processes.
        table_only: only write the table of what is there.
    """
    settings = read_settings(mode, seeds)
    _check(settings)
    workshop = Workshop(output, read_radiographs(data, output, workers), settings)
    runs = all_runs(settings)
    failures: dict[str, str] = {}
    if not table_only:
        pool: Pool[Run] = Pool(
            action=partial(do_run, workshop),
            is_done=workshop.is_done,
            failures_file=output / "failures.json",
            workers=workers,
            cost=partial(expected_minutes, settings),
            requires=required_runs,
            seconds=None if settings.hours is None else 3600 * settings.hours,
            expected=lambda run: 60 * expected_minutes(settings, run),
        )
        failures = pool(runs)
    table = build_table(Results(workshop, runs), read_settings("full"), data)
    return Outcome(write_table(output, table), failures)


def _check(settings: StudySettings) -> None:
    """Refuse keys that ``train.json`` does not have before anything is trained."""
    config = read_train_config(BUNDLE_ROOT)
    for training in (settings.real.training, settings.phantoms.training):
        check_keys(config, {**settings.training, **training})
    check_keys(config, {f"doubts#{key}": value for key, value in settings.doubts.items()})
