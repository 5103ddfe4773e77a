"""One function for many items, in several processes."""

from __future__ import annotations

import ctypes
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import TypeVar

__all__ = ["in_processes"]

# prctl(2): the signal that a process gets when its parent ends
_PR_SET_PDEATHSIG = 1

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_processes(
    function: Callable[[Item], Result], items: Sequence[Item], workers: int = 1
) -> Iterator[tuple[int, Result]]:
    """Give the index of each item and what the function returns for it, as soon as it is there.

    Args:
        function: can be pickled if there are several workers, and returns the same in whatever process and order.
        items: N of them.
        workers: number of processes; 1 calls the function here, in the order of the items.

    Yields:
        ``(index, result)``, N times, in any order.

    Example:
        >>> dict(in_processes(abs, [-3, 5]))
        {0: 3, 1: 5}
    """
    if workers <= 1 or len(items) <= 1:
        for index, item in enumerate(items):
            yield index, function(item)
        return
    with ProcessPoolExecutor(min(workers, len(items)), initializer=_end_with_parent) as pool:
        futures = {pool.submit(function, item): index for index, item in enumerate(items)}
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        finally:
            # after an error the items not begun are of no use
            pool.shutdown(wait=True, cancel_futures=True)


def _end_with_parent() -> None:
    """Have the system end this process when the one that started it is killed (Linux).

    Both hold the queue that it reads from, which would otherwise never end.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
