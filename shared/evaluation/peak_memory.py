"""Peak memory of a computation: of a process of its own, of that and all that it starts, or of a GPU."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, wait
from pathlib import Path
from typing import Any

import torch

__all__ = ["device_memory", "peak_memory", "tree_memory"]

_STATUS = Path("/proc/self/status")
_ROLLUP = Path("/proc/self/smaps_rollup")
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
    with _fresh_process(_STATUS) as pool:
        return pool.submit(_rise, prepare, arguments).result()


def tree_memory(prepare: Callable[..., Callable[[], Any]], *arguments: Any, interval: float = 0.05) -> float:
    """Return the memory of a fresh process and all that it starts, at its peak, in a computation.

    Everything counts, also libraries and what ``prepare`` makes. Pages that several of the processes share are counted
    once (the kernel's proportional set size, added up).

    Args:
        prepare: a function at a module's top level; called in the process, it returns the computation.
        *arguments: passed to ``prepare``; they can be pickled.
        interval: between two looks, seconds; a peak that is shorter may be missed.

    Returns:
        The sum over the processes in MiB, at the look that found most.

    Raises:
        OSError: if the system does not report memory as Linux does.
    """
    with _fresh_process(_ROLLUP) as pool:
        root = pool.submit(os.getpid).result()
        computation = pool.submit(_compute, prepare, arguments)
        peak = _proportional_size(root)
        while not wait([computation], timeout=interval).done:
            peak = max(peak, _proportional_size(root))
        computation.result()
    return peak / _KIB_PER_MIB


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


def _fresh_process(source: Path) -> ProcessPoolExecutor:
    """Return a process that begins without this one's memory.

    Raises:
        OSError: if the system lacks the file from which memory is read.
    """
    if not source.is_file():
        raise OSError(f"peak memory is read from {source}, which this system does not have; use Linux")
    return ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))


def _compute(prepare: Callable[..., Callable[[], Any]], arguments: tuple[Any, ...]) -> None:
    prepare(*arguments)()


def _proportional_size(process: int) -> int:
    """Return the proportional set size of a process and its descendants in KiB; of one that just ended, 0."""
    folder = Path(f"/proc/{process}")
    try:
        size = _kibibytes("Pss", folder / "smaps_rollup")
        children = [file.read_text(encoding="ascii").split() for file in folder.glob("task/*/children")]
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return size + sum(_proportional_size(int(child)) for of_thread in children for child in of_thread)


def _rise(prepare: Callable[..., Callable[[], Any]], arguments: tuple[Any, ...]) -> float:
    """Return the rise of this process's peak over its memory before the computation, in MiB."""
    computation = prepare(*arguments)
    # forgets the peak so far (see "clear_refs" in the manual page proc(5))
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    before = _kibibytes("VmRSS")
    computation()
    return (_kibibytes("VmHWM") - before) / _KIB_PER_MIB


def _kibibytes(field: str, file: Path = _STATUS) -> int:
    """Return a field of a process's status in KiB."""
    for line in file.read_text(encoding="ascii").splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1])
    raise OSError(f"{file} has no field {field}")
