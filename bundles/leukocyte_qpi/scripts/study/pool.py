"""Doing the runs: two at a time, each on one thread, going on after failures and interruptions."""

from __future__ import annotations

import json
import logging
import multiprocessing
import traceback
import warnings
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from typing import Any, Self

import numpy as np
import torch
from tqdm import tqdm

from scripts.study.grid import BASELINE, Run
from scripts.study.one_run import do_run
from scripts.study.workshop import Workshop, recipe
from shared.data.files import write_json

__all__ = ["do_runs", "is_done"]

# starting a process takes seconds, which is little beside ten trainings
RUNS_OF_A_PROCESS = 10
# a run's expected share of the whole, for the time that is left
WEIGHTS = {BASELINE: 1, "LeNet5": 8, "AlexNet": 40}


def is_done(workshop: Workshop, run: Run) -> bool:
    """Tell whether a run's result is there and was made with the same settings and data."""
    path = workshop.result_path(run)
    if not path.is_file():
        return False
    with np.load(path, allow_pickle=False) as result:
        return json.loads(str(result["facts"]))["recipe"] == recipe(workshop, run)


def do_runs(
    workshop: Workshop, runs: Sequence[Run], workers: int, action: Callable[[Workshop, Run], None] = do_run
) -> dict[str, str]:
    """Do what is not yet done.

    Args:
        workshop: shared by all runs.
        runs: in the order in which they are started.
        workers: processes, each with one thread; 0 does the runs in this process.
        action: what to do for each run.

    Returns:
        The traceback of each run that failed, by its key; also written to ``failures.json``.

    Raises:
        RuntimeError: if a worker died (out of memory, say).
    """
    left = [run for run in runs if not is_done(workshop, run)]
    failures: dict[str, str] = {}
    with tqdm(
        total=sum(WEIGHTS.get(run.network, 1) for run in runs),
        initial=sum(WEIGHTS.get(run.network, 1) for run in runs if run not in left),
        desc="study",
        bar_format="{desc} {percentage:3.0f}%|{bar}| {elapsed} elapsed, {remaining} left{postfix}",
    ) as bar:
        done = len(runs) - len(left)

        def record(run: Run, failure: str | None) -> None:
            nonlocal done
            done += 1
            if failure is not None:
                failures[run.key] = failure
                write_json(workshop.output / "failures.json", failures)
            bar.set_postfix_str(f"run {done} of {len(runs)}, {len(failures)} failed, last {run.key}")
            bar.update(WEIGHTS.get(run.network, 1))

        if workers == 0:
            for run in left:
                record(run, _attempt(workshop, run, action))
        elif left:
            _with_processes(workshop, left, workers, action, record)
    write_json(workshop.output / "failures.json", failures)
    return failures


class RenewedWorker:
    """A process that does one thing at a time and is replaced by a fresh one after some of them.

    What a training leaves behind adds up to gigabytes over a study. ``ProcessPoolExecutor`` can renew its workers too
    (``max_tasks_per_child``), but may wait for ever in Python 3.11 when it does.

    Args:
        tasks: how many one process does.
    """

    def __init__(self, tasks: int = RUNS_OF_A_PROCESS) -> None:
        self.tasks = tasks
        self.done = 0
        self.pool = self._fresh()

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Start ``function`` in the process; what was submitted before must be done."""
        if self.done == self.tasks:
            self.pool.shutdown()
            self.pool, self.done = self._fresh(), 0
        self.done += 1
        return self.pool.submit(function, *arguments)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.pool.shutdown(wait=kind is None, cancel_futures=True)

    @staticmethod
    def _fresh() -> ProcessPoolExecutor:
        # a forked child would inherit torch's threads in an unknown state
        context = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(1, mp_context=context, initializer=_quiet_worker)


def _with_processes(
    workshop: Workshop,
    runs: Sequence[Run],
    workers: int,
    action: Callable[[Workshop, Run], None],
    record: Callable[[Run, str | None], None],
) -> None:
    left = deque(runs)
    busy: dict[Future[str | None], tuple[Run, RenewedWorker]] = {}
    with ExitStack() as stack:
        idle = [stack.enter_context(RenewedWorker()) for _ in range(min(workers, len(runs)))]
        try:
            while left or busy:
                while left and idle:
                    run, worker = left.popleft(), idle.pop()
                    busy[worker.submit(_attempt, workshop, run, action)] = run, worker
                for future in wait(busy, return_when=FIRST_COMPLETED).done:
                    run, worker = busy.pop(future)
                    record(run, future.result())
                    idle.append(worker)
        except BrokenProcessPool as error:
            raise RuntimeError(
                "a worker was killed (out of memory?); start again to go on, with fewer --workers if need be"
            ) from error


def _quiet_worker() -> None:
    torch.set_num_threads(1)
    logging.disable(logging.WARNING)
    warnings.filterwarnings("ignore")


def _attempt(workshop: Workshop, run: Run, action: Callable[[Workshop, Run], None]) -> str | None:
    """Return None, or the traceback of what went wrong."""
    try:
        action(workshop, run)
    except Exception:  # whatever it is, the other runs go on
        return traceback.format_exc()
    return None
