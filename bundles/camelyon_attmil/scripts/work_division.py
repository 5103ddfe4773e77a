"""Which process of several does which slides: each slide once, all with about as much to do."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch.distributed

__all__ = ["Processes", "divide"]

T = TypeVar("T")

#: a process may wait so long for the slowest of the others
_PATIENCE = timedelta(days=14)


def divide(sizes: Sequence[int], rank: int, world: int) -> list[int]:
    """Return the indices of the items of one process.

    The largest item goes to whoever has least so far, then the next (longest processing time first, Graham 1969): no
    process gets more than 4/3 of what the best division would give it. Every process computes the same division.

    Args:
        sizes: of all items, e.g. bytes.
        rank: of the process, from 0.
        world: number of processes.

    Returns:
        Sorted indices. Those of all ranks together are all indices, each once.

    Example:
        >>> [divide([5, 9, 4, 1], rank, 2) for rank in (0, 1)]
        [[1, 3], [0, 2]]
    """
    load = [0] * world
    mine = []
    for index in sorted(range(len(sizes)), key=lambda index: (-sizes[index], index)):
        least = min(range(world), key=lambda number: (load[number], number))
        load[least] += sizes[index]
        if least == rank:
            mine.append(index)
    return sorted(mine)


@dataclass(frozen=True)
class Processes:
    """This process among those that ``torchrun`` started.

    Args:
        rank: from 0.
        world: number of processes.
    """

    rank: int = 0
    world: int = 1

    @classmethod
    @contextmanager
    def of_torchrun(cls) -> Iterator[Processes]:
        """Join the group of processes, on one machine or several, if ``torchrun`` started this one."""
        world = int(os.environ.get("WORLD_SIZE", "1"))
        if world == 1 or "RANK" not in os.environ:
            yield cls()
            return
        begun = not torch.distributed.is_initialized()
        if begun:
            torch.distributed.init_process_group("gloo", timeout=_PATIENCE)
        try:
            yield cls(int(os.environ["RANK"]), world)
        finally:
            if begun:
                torch.distributed.destroy_process_group()

    @property
    def first(self) -> bool:
        """Whether this is the process that writes what all share."""
        return self.rank == 0

    def wait(self) -> None:
        """Wait for all the others."""
        if self.world > 1:
            torch.distributed.barrier()

    def share(self, value: T) -> T:
        """Return the value that the first process gives, to all."""
        if self.world == 1:
            return value
        box = [value]
        torch.distributed.broadcast_object_list(box, src=0)
        return box[0]
