"""The study from its data to its table and its ensemble."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from scripts.study.grid import Run, all_runs, required_runs
from scripts.study.keep_ensemble import best_model, keep_ensemble
from scripts.study.one_run import do_run
from scripts.study.patients import read_patients
from scripts.study.rivals import extract_features
from scripts.study.settings import BUNDLE_ROOT, read_settings
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
    """Do all runs that are not yet done, write the table, and keep the best model's folds as an ensemble.

    Args:
        data: folder in a layout that preparing knows.
        output: folder for results, weights, table and ensemble.
        mode: ``default``, ``quick`` or ``full``.
        seeds: at most so many repeats of the cross-validation.
        workers: processes.
        table_only: only write table and ensemble of what is there.
    """
    settings = read_settings(mode, seeds)
    patients = read_patients(data, output, settings.patients, settings.cells, workers)
    workshop = Workshop(output, patients, settings)
    runs = all_runs(settings)
    for name in {run.model for run in runs if settings.models[run.model]["kind"] == "network"}:
        model = settings.models[name]
        overrides = {**settings.training, **model["overrides"], **model.get("weights_from", {})}
        check_keys(read_train_config(BUNDLE_ROOT), overrides)
    failures: dict[str, str] = {}
    if not table_only:
        if any(settings.models[run.model]["kind"] == "classical" for run in runs):
            extract_features(workshop, workers)
        pool: Pool[Run] = Pool(
            action=partial(do_run, workshop),
            is_done=workshop.is_done,
            failures_file=output / "failures.json",
            workers=workers,
            cost=lambda run: settings.models[run.model]["minutes"],
            requires=lambda run: required_runs(settings, run),
            seconds=None if settings.hours is None else 3600 * settings.hours,
            expected=lambda run: 60 * settings.models[run.model]["minutes"],
        )
        failures = pool(runs)
    results = Results(workshop, runs)
    written = write_table(output, build_table(results, read_settings("full")))
    best = best_model(settings, results.found)
    if best is not None:
        written.append(keep_ensemble(workshop, best, results.found[best]))
    return Outcome(written, failures)
