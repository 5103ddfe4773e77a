"""Run ``python ARGUMENTS`` in two processes that see what those of ``torchrun --standalone --nproc_per_node=2`` see.

As a command in a forked process (:func:`tests.warm.run_warm`) both are forks of it and import nothing anew; the tests
of one bundle and of the extraction of features call ``torchrun`` itself.
"""

from __future__ import annotations

import os
import runpy
import signal
import socket
import sys
from pathlib import Path

import torch

SIZE = 2


def environment(rank: int, port: int) -> dict[str, str]:
    """The variables that PyTorch reads."""
    size = {key: str(SIZE) for key in ("WORLD_SIZE", "LOCAL_WORLD_SIZE", "ROLE_WORLD_SIZE")}
    place = {key: str(rank) for key in ("RANK", "LOCAL_RANK", "ROLE_RANK")}
    threads = {"OMP_NUM_THREADS": "1"}
    return size | place | threads | {"GROUP_RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}


def main() -> int:
    """Run the module that is named after ``-m``, and return the status of the process that failed, if any did."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    children = []
    for rank in range(SIZE):
        child = os.fork()
        if child == 0:
            os.environ.update(environment(rank, port))
            # a script's folder is on the path, and would give a module other neighbours
            sys.path[0] = str(Path.cwd())
            torch.set_num_threads(1)  # which the variable no longer does once torch is imported
            sys.argv = sys.argv[2:]
            runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
            sys.exit()
        children.append(child)
    while children:
        child, status = os.wait()
        children.remove(child)
        if state := os.waitstatus_to_exitcode(status):
            for other in children:  # which would wait for the one that failed
                os.kill(other, signal.SIGKILL)
            return state
    return 0


if __name__ == "__main__":
    if sys.argv[1:2] != ["-m"]:
        sys.exit("ranks.py -m MODULE …")
    sys.exit(main())
