"""The study of explanations: every method on the same held-out bags of digits, nuclei and phantom slides."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from scripts.study.bag_parts import data_sha256
from scripts.study.explanation_pictures import write_pictures
from scripts.study.explanation_results import ExplanationResults
from scripts.study.explanation_run import (
    ExplanationRun,
    ExplanationWorkshop,
    do_explanation_run,
    explanation_run,
)
from scripts.study.explanation_settings import ExplanationSettings, read_explanation_settings
from scripts.study.explanation_table import build_table, write_numbers
from scripts.study.phantom_slides import phantom_folder
from shared.study.page import write_table
from shared.study.pool import Pool
from shared.study.run import Outcome

__all__ = ["run_explanation_study"]

#: studies that may have made the same phantom slides
OTHERS = ("camelyon_attmil",)


def run_explanation_study(
    study: str,
    data: Path,
    output: Path,
    mode: str = "default",
    seeds: int | None = None,
    workers: int = 2,
    table_only: bool = False,
) -> Outcome:
    """Do all runs that are not yet done, and write the tables.

    Args:
        study: name of its section in ``study.json``.
        data: folder with the folders that the sets name.
        output: folder for results, tables and pictures.
        mode: ``default``, ``quick`` or ``full``.
        seeds: at most so many training runs of each network.
        workers: processes.
        table_only: only write the table of what is there.
    """
    settings = read_explanation_settings(study, mode, seeds)
    workshop = _workshop(settings, data, output, workers, make=not table_only)
    runs = [
        explanation_run(name, explained, repeat)
        for repeat in range(max(explained.settings.repeats for explained in settings.sets.values()))
        for name, explained in settings.sets.items()
        if repeat < explained.settings.repeats
    ]
    failures: dict[str, str] = {}
    if not table_only:
        pool: Pool[ExplanationRun] = Pool(
            action=partial(do_explanation_run, workshop),
            is_done=workshop.is_done,
            failures_file=output / "failures.json",
            workers=workers,
            cost=lambda run: settings.sets[run.name].minutes,
        )
        failures = pool(runs)
    results = ExplanationResults.read(workshop, runs)
    written = write_table(output, build_table(results, write_pictures(output, results)))
    return Outcome([*written, write_numbers(output / "quality.csv", results)], failures)


def _workshop(settings: ExplanationSettings, data: Path, output: Path, workers: int, make: bool) -> ExplanationWorkshop:
    folders, sha256 = {}, {}
    for name, explained in settings.sets.items():
        if explained.folder is None:
            drawing = explained.settings.conditions[explained.condition]["drawing"]
            folders[name] = phantom_folder(output, drawing, workers, OTHERS, make)
        else:
            folders[name] = data / explained.folder
        sha256[name] = data_sha256(explained.settings, folders[name], explained.condition)
    return ExplanationWorkshop(output, folders, sha256, settings)
