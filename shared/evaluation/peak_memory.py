"""Peak memory of a computation: of a process of its own, of that and all that it starts, or of a GPU."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, wait
from contextlib import suppress
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

    Everything counts, also libraries and what ``prepare`` makes. What several of the processes share is counted once:
    memory of their own and shared memory by the kernel's proportional set size, libraries and other files as far as the
    process has them that has most, whoever else on the system has them, too. A look during which a process began or
    ended does not count.

    Args:
        prepare: a function at a module's top level; called in the process, it returns the computation.
        *arguments: passed to ``prepare``; they can be pickled.
        interval: between two looks, seconds; a peak that is shorter may be missed.

    Returns:
        The sum over the processes in MiB, at the look that found most.

    Raises:
        OSError: if the system does not report memory as Linux does.
        RuntimeError: if no look was without a process that just began or ended.
    """
    with _fresh_process(_ROLLUP) as pool:
        root = pool.submit(os.getpid).result()
        computation = pool.submit(_compute, prepare, arguments)
        peak = _tree_size(root)
        while not wait([computation], timeout=interval).done:
            peak = max(peak or 0, _tree_size(root) or 0)
        computation.result()
    if not peak:
        raise RuntimeError("processes began or ended at every look at the memory; look less often (interval)")
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
    # a process that was spawned spawns others; a program that a person starts does what the system does by default
    multiprocessing.set_start_method(None, force=True)
    prepare(*arguments)()


def _tree_size(root: int) -> int | None:
    """Return the memory of a process and its descendants in KiB; see :func:`tree_memory`.

    Returns:
        None if a process began or ended during the look: what it shares with those seen before and after would count
        one and a half times, or by half.
    """
    processes = _family(root)
    try:
        sizes = [_sizes(Path(f"/proc/{process}/smaps_rollup")) for process in processes]
    except (FileNotFoundError, ProcessLookupError):
        return None  # it just ended
    if _family(root) != processes:
        return None
    own = sum(size["Pss_Anon"] + size["Pss_Shmem"] for size in sizes)
    return own + max(size["Rss"] - size["Anonymous"] - size["Pss_Shmem"] for size in sizes)


def _family(root: int) -> list[int]:
    """Return a process, the processes it started, those that they started, and so on: those that have not ended."""
    found = [root]
    for process in found:  # which grows
        with suppress(FileNotFoundError, ProcessLookupError):  # the process just ended, or one of its threads
            for thread in Path(f"/proc/{process}/task").iterdir():
                children = map(int, (thread / "children").read_text(encoding="ascii").split())
                found += [child for child in children if not _has_ended(child)]
    return found


def _has_ended(process: int) -> bool:
    """Return whether a process has ended; one that nobody has waited for still stands among the children."""
    try:
        # after the name, which may hold anything
        state = (
            Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[0]
        )
    except (FileNotFoundError, ProcessLookupError):
        return True
    return state in "ZX"


def _rise(prepare: Callable[..., Callable[[], Any]], arguments: tuple[Any, ...]) -> float:
    """Return the rise of this process's peak over its memory before the computation, in MiB."""
    computation = prepare(*arguments)
    # forgets the peak so far (see "clear_refs" in the manual page proc(5))
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    before = _kibibytes("VmRSS")
    computation()
    return (_kibibytes("VmHWM") - before) / _KIB_PER_MIB


def _kibibytes(field: str) -> int:
    """Return a field of this process's status in KiB.

    Raises:
        OSError: if there is no such field.
    """
    sizes = _sizes(_STATUS)
    if field not in sizes:
        raise OSError(f"{_STATUS} has no field {field}")
    return sizes[field]


def _sizes(file: Path) -> dict[str, int]:
    """Return the fields of a file of ``/proc`` that are sizes, in KiB."""
    rows = [line.split() for line in file.read_text(encoding="ascii").splitlines()]
    return {row[0].removesuffix(":"): int(row[1]) for row in rows if len(row) == 3 and row[2] == "kB"}
