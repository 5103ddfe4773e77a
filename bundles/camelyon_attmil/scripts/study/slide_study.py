"""The study of sparse evidence: planted bags and phantom slides by the size of their metastases, all networks."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from scripts.study.bag_parts import data_sha256
from scripts.study.grid import Run, all_runs
from scripts.study.one_run import do_run
from scripts.study.phantom_slides import phantom_folder
from scripts.study.results import BagResults
from scripts.study.settings import BagStudySettings, read_settings
from scripts.study.slide_pictures import write_pictures
from scripts.study.slide_table import build_table
from scripts.study.workshop import BagWorkshop
from shared.study.page import write_table
from shared.study.pool import Pool
from shared.study.run import Outcome

__all__ = ["PARTS", "run_slide_study"]

#: keys of the study's section, one part after the other
PARTS = ("slides", "faint", "small", "encoder", "planted")
#: studies that may have made the same phantom slides
OTHERS = ("bag-explanations",)


def run_slide_study(
    study: str,
    data: Path,  # noqa: ARG001 - all is generated
    output: Path,
    mode: str = "default",
    seeds: int | None = None,
    workers: int = 2,
    table_only: bool = False,
) -> Outcome:
    """Make the slides, do all runs that are not yet done, and write the table.

    Args:
        study: name of its section in ``study.json``.
        data: not used, everything is generated.
        output: folder for slides, results, table and pictures.
        mode: ``default``, ``quick`` or ``full``.
        seeds: at most so many repeats.
        workers: processes.
        table_only: only write the table of what is there.
    """
    results, failures = {}, {}
    for part in PARTS:
        settings = read_settings(study, mode, seeds, part=part)
        workshop = _workshop(output, part, settings, workers, make=not table_only)
        runs = all_runs(settings)
        if not table_only:
            pool: Pool[Run] = Pool(
                action=partial(do_run, workshop),
                is_done=workshop.is_done,
                failures_file=output / part / "failures.json",
                workers=workers,
                cost=partial(_minutes, settings),
            )
            failures.update({f"{part}/{key}": text for key, text in pool(runs).items()})
        results[part] = BagResults(workshop, runs)
    *slides, planted = (results[part] for part in PARTS)
    table = build_table(slides, planted, write_pictures(output, slides))
    return Outcome(write_table(output, table), failures)


def _minutes(settings: BagStudySettings, run: Run) -> float:
    minutes: float = settings.conditions[run.condition]["minutes"]
    return minutes


def _workshop(output: Path, part: str, settings: BagStudySettings, workers: int, make: bool) -> BagWorkshop:
    data = output / part
    if settings.data == "slides":
        drawings = [condition["drawing"] for condition in settings.conditions.values()]
        data = phantom_folder(output, drawings[0], workers, OTHERS, make)
    sha256 = {condition: data_sha256(settings, data, condition) for condition in settings.conditions}
    return BagWorkshop(output / part, data, sha256, settings)
