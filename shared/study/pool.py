"""Doing the runs of a study: several at a time, each on one thread, going on after failures and interruptions."""

from __future__ import annotations

import logging
import multiprocessing
import time
import traceback
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import torch
from tqdm import tqdm

from shared.data.files import write_json

__all__ = ["Pool", "Run"]


class Run(Protocol):
    """What is done in one go."""

    @property
    def key(self) -> str:
        """Its name, which no other run of the study has."""


AnyRun = TypeVar("AnyRun", bound=Run)


@dataclass
class Pool(Generic[AnyRun]):
    """Does what is not yet done, in the order in which it is given.

    Args:
        action: does one run; can be pickled if there are workers.
        is_done: tells whether the result of a run is there.
        failures_file: JSON file for the traceback of each run that failed, by its key.
        workers: processes, each with one thread; 0 does the runs in this process.
        cost: a run's expected share of the whole, for the time that is left.
        requires: runs whose results a run needs. It waits for them, and fails if they do.
        seconds: no run is started after so many; ``None`` for no limit.
    """

    action: Callable[[AnyRun], None]
    is_done: Callable[[AnyRun], bool]
    failures_file: Path
    workers: int
    cost: Callable[[AnyRun], float] = lambda _: 1.0
    requires: Callable[[AnyRun], Sequence[AnyRun]] = lambda _: ()
    seconds: float | None = None
    failures: dict[str, str] = field(default_factory=dict, init=False)

    def __call__(self, runs: Sequence[AnyRun]) -> dict[str, str]:
        """Do the runs.

        Returns:
            The traceback of each run that failed, by its key.

        Raises:
            RuntimeError: if a worker died (out of memory, say).
        """
        self.failures = {}
        left = [run for run in runs if not self.is_done(run)]
        finished = {run.key for run in runs} - {run.key for run in left}
        with tqdm(
            total=sum(map(self.cost, runs)),
            initial=sum(self.cost(run) for run in runs if run.key in finished),
            desc="study",
            bar_format="{desc} {percentage:3.0f}%|{bar}| {elapsed} elapsed, {remaining} left{postfix}",
        ) as bar:
            # a forked child would inherit torch's threads in an unknown state
            spawn = multiprocessing.get_context("spawn")
            executor: Executor = (
                ProcessPoolExecutor(self.workers, mp_context=spawn, initializer=_quiet_worker)
                if self.workers and left
                else _Here()
            )
            try:
                self._work_off(left, finished, executor, bar, len(runs))
            except BrokenProcessPool as error:
                raise RuntimeError(
                    "a worker was killed (out of memory?); start again to go on, with fewer --workers if need be"
                ) from error
            finally:
                executor.shutdown(wait=False, cancel_futures=True)
        write_json(self.failures_file, self.failures)
        return self.failures

    def _work_off(self, left: list[AnyRun], finished: set[str], executor: Executor, bar: Any, total: int) -> None:
        started = time.monotonic()
        running: dict[Future[str | None], AnyRun] = {}

        def record(run: AnyRun, failure: str | None) -> None:
            if failure is None:
                finished.add(run.key)
            else:
                self.failures[run.key] = failure
                write_json(self.failures_file, self.failures)
            done = len(finished) + len(self.failures)
            bar.set_postfix_str(f"run {done} of {total}, {len(self.failures)} failed, last {run.key}")
            bar.update(self.cost(run))

        while True:
            in_time = self.seconds is None or time.monotonic() - started < self.seconds
            while in_time and len(running) < max(self.workers, 1):
                waited_for = {run.key for run in [*left, *running.values()]}
                for run in [run for run in left if self._lacking(run, finished, waited_for)]:
                    left.remove(run)
                    record(run, f"needs {', '.join(self._lacking(run, finished, waited_for))}, which has no result")
                ready = next((run for run in left if all(r.key in finished for r in self.requires(run))), None)
                if ready is None:
                    break
                left.remove(ready)
                running[executor.submit(_attempt, self.action, ready)] = ready
            if not running:
                return
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                record(running.pop(future), future.result())

    def _lacking(self, run: AnyRun, finished: set[str], waited_for: set[str]) -> list[str]:
        """Return the keys of required runs that are neither done nor to be expected."""
        return [r.key for r in self.requires(run) if r.key not in finished and r.key not in waited_for]


class _Here(Executor):
    """Does at once, in this process, what is submitted."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


def _quiet_worker() -> None:
    torch.set_num_threads(1)
    logging.disable(logging.WARNING)
    warnings.filterwarnings("ignore")


def _attempt(action: Callable[[AnyRun], None], run: AnyRun) -> str | None:
    """Return None, or the traceback of what went wrong."""
    try:
        action(run)
    except Exception:  # whatever it is, the other runs go on
        return traceback.format_exc()
    return None
