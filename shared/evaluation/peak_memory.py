"""Peak memory of a computation: of a process of its own, or of a GPU."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import torch

__all__ = ["device_memory", "peak_memory"]

_STATUS = Path("/proc/self/status")
_KIB_PER_MIB = 1024


def peak_memory(prepare: Callable[..., Callable[[], Any]], *arguments: Any) -> float:
    """Return by how much the resident memory of a fresh process rises, at its peak, in a computation.

    What the process needs before (libraries, what ``prepare`` makes) does not count, and nothing that another
    computation left behind can.

    Args:
        prepare: a function at a module's top level; called in the process, it returns the computation.
        *arguments: passed to ``prepare``; they can be pickled.

    Returns:
        The rise in MiB.

    Raises:
        OSError: if the system does not report memory as Linux does.
    """
    if not _STATUS.is_file():
        raise OSError(f"peak memory is read from {_STATUS}, which this system does not have; use Linux")
    # a forked process would begin with this one's memory
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_rise, prepare, arguments).result()


def device_memory(prepare: Callable[..., Callable[[], Any]], *arguments: Any) -> float:
    """Return by how much a GPU's allocated memory rises, at its peak, in a computation, in MiB.

    Args:
        prepare: returns the computation; what it allocates itself does not count.
        *arguments: passed to ``prepare``.
    """
    computation = prepare(*arguments)
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    computation()
    return (torch.cuda.max_memory_allocated() - before) / 2**20


def _rise(prepare: Callable[..., Callable[[], Any]], arguments: tuple[Any, ...]) -> float:
    """Return the rise of this process's peak over its memory before the computation, in MiB."""
    computation = prepare(*arguments)
    # forgets the peak so far (see "clear_refs" in the manual page proc(5))
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    before = _kibibytes("VmRSS")
    computation()
    return (_kibibytes("VmHWM") - before) / _KIB_PER_MIB


def _kibibytes(field: str) -> int:
    """Return a field of the process's status in KiB."""
    for line in _STATUS.read_text(encoding="ascii").splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1])
    raise OSError(f"{_STATUS} has no field {field}")
