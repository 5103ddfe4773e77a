"""The study from its data to its table."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from scripts.study.grid import all_runs
from scripts.study.page import write_table
from scripts.study.pool import do_runs
from scripts.study.settings import read_settings
from scripts.study.stand_in import FILE_NAME, read_cells, write_crops
from scripts.study.training import bundle_metadata
from scripts.study.workshop import Workshop
from shared.data.files import sha256_file

__all__ = ["run_study"]


def run_study(
    data: Path,
    output: Path,
    mode: str = "default",
    seeds: int | None = None,
    workers: int = 2,
    table_only: bool = False,
) -> int:
    """Do all runs that are not yet done, and write the table.

    Args:
        data: folder with ``wbc_crops.npz``.
        output: folder for prepared crops, results and table.
        mode: ``default``, ``quick`` or ``full``.
        seeds: number of seeds instead of the settings'.
        workers: processes.
        table_only: only write the table of what is there.

    Returns:
        0, or 1 if a run failed.
    """
    settings = read_settings(mode, seeds)
    metadata = bundle_metadata()
    low, high = metadata["preprocessing"]["phase_range_rad"]
    classes = list(metadata["network_data_format"]["outputs"]["pred"]["channel_def"].values())
    cells = read_cells(data, classes, peak=settings.black_rad)
    file = data / FILE_NAME if data.is_dir() else data
    workshop = Workshop(output, cells, sha256_file(file), settings, (low, high))
    runs = all_runs(settings, np.unique(cells.sources).tolist())
    failures: dict[str, str] = {}
    if not table_only:
        write_crops(workshop.crops, cells)
        failures = do_runs(workshop, runs, workers)
    for path in write_table(workshop, runs):
        print(path)  # noqa: T201 - the command's result
    for key, text in failures.items():
        print(f"failed: {key}: {text.strip().splitlines()[-1]}")  # noqa: T201
    return 1 if failures else 0
