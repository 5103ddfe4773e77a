"""Python processes that have imported the libraries already.

Most of the time of a command on small data goes into importing torch and MONAI. A process that has done so, and has run
nothing, is forked for each command; what the child then does is what ``python ARGUMENTS`` does: its own main module,
working directory, environment, module path and exit status. Nothing of the project is imported before the fork.
"""

from __future__ import annotations

import atexit
import functools
import json
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import IO, Any

LIBRARIES = (
    "torch",
    "torch.utils.tensorboard",
    "monai.bundle",
    "monai.engines",
    "monai.handlers",
    "monai.inferers",
    "monai.networks.nets",
    "ignite.engine",
    "ignite.handlers",
    "ignite.metrics",
    "captum.attr",
    "fire",
    "h5py",
    "jinja2",
    "matplotlib.pyplot",
    "nibabel",
    "pandas",
    "PIL.Image",
    "scipy.stats",
    "skimage.filters",
    "skimage.measure",
    "sklearn.metrics",
)


def run_warm(arguments: list[str], cwd: Path, timeout: int = 900) -> subprocess.CompletedProcess[str]:
    """Run ``python ARGUMENTS`` in a fork of a process that has imported the libraries.

    Args:
        arguments: ``-m MODULE …`` or ``SCRIPT …``.
        cwd: working directory.
        timeout: seconds after which the process is ended.

    Returns:
        As of :func:`subprocess.run` with captured text; a process that was ended has the signal as negative status.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        status = _warm().fork(arguments, cwd, timeout, out, err)
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode(errors="replace"))
    return subprocess.CompletedProcess([sys.executable, *arguments], status, *texts)


class WarmProcess:
    """The process that is forked; it ends with the one that started it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        atexit.register(self._end)

    def fork(self, arguments: list[str], cwd: Path, timeout: int, out: IO[bytes], err: IO[bytes]) -> int:
        """Run a command whose output goes to files, and return its exit status."""
        own = f"/proc/{os.getpid()}/fd"
        request: dict[str, Any] = {"arguments": [str(argument) for argument in arguments], "cwd": str(cwd)}
        request |= {"environment": dict(os.environ), "timeout": timeout}
        request |= {"out": f"{own}/{out.fileno()}", "err": f"{own}/{err.fileno()}"}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._lock:
            self._process.stdin.write(json.dumps(request) + "\n")
            answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"the process that is forked for commands ended with {self._process.wait()}")
        return int(answer)

    def _end(self) -> None:
        self._process.kill()
        self._process.wait()


@functools.cache
def _warm() -> WarmProcess:
    """Return the one process of this test process."""
    return WarmProcess()


def _serve() -> dict[str, Any] | None:
    """Fork for each request; returns the request in the child, and nothing at the end in the parent."""
    import importlib

    for library in LIBRARIES:
        importlib.import_module(library)
    for line in iter(sys.stdin.readline, ""):
        process = os.fork()
        if process == 0:
            request: dict[str, Any] = json.loads(line)
            return request
        _, status = os.waitpid(process, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()
    return None


def _become(request: dict[str, Any]) -> None:
    """Be the process that ``python ARGUMENTS`` starts."""
    import runpy
    import signal

    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["environment"])
    for number, file in ((0, os.devnull), (1, request["out"]), (2, request["err"])):
        opened = os.open(file, os.O_RDWR | os.O_APPEND)
        os.dup2(opened, number)
        os.close(opened)
    signal.alarm(request["timeout"])
    own = str(Path(__file__).parent)
    added = [path for path in request["environment"].get("PYTHONPATH", "").split(os.pathsep) if path]
    rest = [path for path in sys.path if path != own and path not in added]
    first, *arguments = request["arguments"]
    if first == "-m":
        sys.path[:] = [str(Path.cwd()), *added, *rest]
        sys.argv = arguments
        runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)
    else:
        sys.path[:] = [str(Path(first).resolve().parent), *added, *rest]
        sys.argv = [first, *arguments]
        runpy.run_path(first, run_name="__main__")


if __name__ == "__main__":
    received = _serve()
    if received is not None:
        _become(received)
