"""One run: train a network, then keep everything that the table is computed from."""

from __future__ import annotations

import time

from scripts.study.grid import Run
from scripts.study.network_run import network_run
from scripts.study.shortcut_run import shortcut_run
from scripts.study.workshop import Workshop

__all__ = ["do_run"]


def do_run(workshop: Workshop, run: Run) -> None:
    """Train and examine, and write the result atomically."""
    started = time.time()
    action = shortcut_run if run.experiment == "shortcut" else network_run
    arrays, facts = action(workshop, run)
    workshop.write_result(run, arrays, facts, seconds=time.time() - started)
