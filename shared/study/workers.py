"""Where the runs of a study are done: in processes that are renewed, or right here."""

from __future__ import annotations

import logging
import multiprocessing
import warnings
from collections.abc import Callable
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from typing import Any

import torch

__all__ = ["Here", "RenewedProcesses"]


class RenewedProcesses(Executor):
    """Processes of one thread that do one thing at a time and are replaced by fresh ones after some of them.

    What a training leaves behind adds up to gigabytes over a study. ``ProcessPoolExecutor`` can renew its workers too
    (``max_tasks_per_child``), but may wait for ever in Python 3.11 when it does.

    Args:
        processes: number of processes, and so of things that can be done at a time.
        tasks: how many of them one process does, one after the other.
    """

    def __init__(self, processes: int, tasks: int) -> None:
        self.workers = [_RenewedProcess(tasks) for _ in range(processes)]

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Start ``fn`` in a process that is idle.

        Raises:
            RuntimeError: if none is: nothing waits here for its turn.
        """
        idle = next((worker for worker in self.workers if worker.is_idle), None)
        if idle is None:
            raise RuntimeError(f"all {len(self.workers)} processes are busy; wait until one is done")
        return idle.submit(fn, *args, **kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Start nothing any more; see :meth:`concurrent.futures.Executor.shutdown`."""
        for worker in self.workers:
            worker.pool.shutdown(wait=wait, cancel_futures=cancel_futures)


class Here(Executor):
    """Does at once, in this process, what is submitted."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Return the result of ``fn``; what it raises is raised here."""
        future: Future[Any] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


class _RenewedProcess:
    def __init__(self, tasks: int) -> None:
        self.tasks = tasks
        self.started = 0
        self.pool = self._fresh()
        self.last: Future[Any] | None = None

    @property
    def is_idle(self) -> bool:
        return self.last is None or self.last.done()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        if self.started == self.tasks:
            self.pool.shutdown()
            self.pool, self.started = self._fresh(), 0
        self.started += 1
        self.last = self.pool.submit(fn, *args, **kwargs)
        return self.last

    @staticmethod
    def _fresh() -> ProcessPoolExecutor:
        # a forked child would inherit torch's threads in an unknown state
        context = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(1, mp_context=context, initializer=_quiet_worker)


def _quiet_worker() -> None:
    torch.set_num_threads(1)
    logging.disable(logging.WARNING)
    warnings.filterwarnings("ignore")
