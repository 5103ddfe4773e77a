"""The study from its data to its table."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
from monai.bundle import ConfigParser

from scripts.study.grid import Run, all_runs, expected_cost
from scripts.study.one_run import do_run
from scripts.study.results import Results
from scripts.study.settings import BUNDLE_ROOT, read_settings
from scripts.study.stand_in import FILE_NAME, read_cells, write_crops
from scripts.study.table import build_table
from scripts.study.workshop import Workshop
from shared.data.files import sha256_file
from shared.study.page import write_table
from shared.study.pool import Pool
from shared.study.run import Outcome

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
        data: folder with ``wbc_crops.npz``.
        output: folder for prepared crops, results and table.
        mode: ``default``, ``quick`` or ``full``.
        seeds: number of seeds instead of the settings'.
        workers: processes.
        table_only: only write the table of what is there.
    """
    settings = read_settings(mode, seeds)
    metadata = ConfigParser.load_config_file(str(BUNDLE_ROOT / "configs" / "metadata.json"))
    low, high = metadata["preprocessing"]["phase_range_rad"]
    classes = list(metadata["network_data_format"]["outputs"]["pred"]["channel_def"].values())
    cells = read_cells(data, classes, peak=settings.black_rad)
    file = data / FILE_NAME if data.is_dir() else data
    workshop = Workshop(output, cells, sha256_file(file), settings, (low, high))
    runs = all_runs(settings, np.unique(cells.sources).tolist())
    failures: dict[str, str] = {}
    if not table_only:
        write_crops(workshop.crops, cells)
        pool: Pool[Run] = Pool(
            action=partial(do_run, workshop),
            is_done=workshop.is_done,
            failures_file=output / "failures.json",
            workers=workers,
            cost=expected_cost,
        )
        failures = pool(runs)
    return Outcome(write_table(output, build_table(Results(workshop, runs))), failures)
