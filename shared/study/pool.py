"""Doing the runs of a study: several at a time, each on one thread, going on after failures and interruptions."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic

from tqdm import tqdm

from shared.data.files import write_json
from shared.study.run import AnyRun
from shared.study.workers import Here, RenewedProcesses

__all__ = ["Pool"]


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
        seconds: no run is started that is not expected to end within so many; ``None`` for no limit.
        expected: seconds that a run is expected to take.
        runs_of_a_process: after so many runs a fresh process takes over. Starting one takes seconds, which is little
            beside ten trainings.
    """

    action: Callable[[AnyRun], None]
    is_done: Callable[[AnyRun], bool]
    failures_file: Path
    workers: int
    cost: Callable[[AnyRun], float] = lambda _: 1.0
    requires: Callable[[AnyRun], Sequence[AnyRun]] = lambda _: ()
    seconds: float | None = None
    expected: Callable[[AnyRun], float] = lambda _: 0.0
    runs_of_a_process: int = 10
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
            workers = min(self.workers, len(left))
            executor = RenewedProcesses(workers, self.runs_of_a_process) if workers else Here()
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
        most = max(min(self.workers, len(left)), 1)

        def record(run: AnyRun, failure: str | None) -> None:
            if failure is None:
                finished.add(run.key)
            else:
                self.failures[run.key] = failure
                write_json(self.failures_file, self.failures)
            done = len(finished) + len(self.failures)
            bar.set_postfix_str(f"run {done} of {total}, {len(self.failures)} failed, last {run.key}")
            bar.update(self.cost(run))

        def fits(run: AnyRun) -> bool:
            return self.seconds is None or time.monotonic() - started + self.expected(run) < self.seconds

        while True:
            in_time = self.seconds is None or time.monotonic() - started < self.seconds
            while in_time and len(running) < most:
                waited_for = {run.key for run in [*left, *running.values()]}
                for run in [run for run in left if self._lacking(run, finished, waited_for)]:
                    left.remove(run)
                    record(run, f"needs {', '.join(self._lacking(run, finished, waited_for))}, which has no result")
                ready = next(
                    (run for run in left if fits(run) and all(r.key in finished for r in self.requires(run))), None
                )
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


def _attempt(action: Callable[[AnyRun], None], run: AnyRun) -> str | None:
    """Return None, or the traceback of what went wrong."""
    try:
        action(run)
    except Exception:  # whatever it is, the other runs go on
        return traceback.format_exc()
    return None
