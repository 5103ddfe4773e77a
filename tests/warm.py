"""Commands in forks of one process of this test process that has imported the libraries."""

from __future__ import annotations

import atexit
import functools
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from shared.commands.warm_process import WarmProcess


def run_warm(arguments: list[str], cwd: Path, timeout: int = 900) -> subprocess.CompletedProcess[str]:
    """Run ``python ARGUMENTS`` with captured text, as :func:`subprocess.run` returns it."""
    own = Path(f"/proc/{os.getpid()}/fd")
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        files = {"out": own / str(out.fileno()), "err": own / str(err.fileno())}
        status = _warm().run(arguments, cwd, timeout=timeout, **files)
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode(errors="replace"))
    return subprocess.CompletedProcess([sys.executable, *arguments], status, *texts)


@functools.cache
def _warm() -> WarmProcess:
    process = WarmProcess()
    atexit.register(process.close)
    return process
