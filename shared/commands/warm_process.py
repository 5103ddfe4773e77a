"""Python commands that need not import the libraries again.

Most of the time of a command on small data goes into importing torch and MONAI. A process that has done so, and has run
nothing, is forked for each command; what the child then does is what ``python ARGUMENTS`` does: its own main module,
working directory, environment, module path and exit status. Nothing of the project is imported before the fork.
"""

from __future__ import annotations

import importlib
import json
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, Any

__all__ = ["WarmProcess", "python_commands"]

# prctl(2): the signal that a process gets when its parent ends
_PR_SET_PDEATHSIG = 1
_LOOK_MS = 20

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


@contextmanager
def python_commands(cwd: Path, libraries: Sequence[str] = LIBRARIES) -> Iterator[Callable[[Sequence[str]], None]]:
    """Yield what runs ``python ARGUMENTS``, one command after another.

    On Linux each runs in a fork of one :class:`WarmProcess`; elsewhere, where a process that has imported the libraries
    cannot be forked safely, in an interpreter that starts anew.

    Args:
        cwd: working directory.
        libraries: modules that the commands need.

    Raises:
        subprocess.CalledProcessError: by what is yielded, if a command fails.
        RuntimeError: by what is yielded, if a library cannot be imported.
    """
    if sys.platform == "linux":
        with WarmProcess(libraries) as process:
            yield partial(_run, lambda arguments: process.run(arguments, cwd))
    else:
        yield partial(_run, lambda arguments: subprocess.call([sys.executable, *arguments], cwd=cwd))


def _run(run: Callable[[Sequence[str]], int], arguments: Sequence[str]) -> None:
    if status := run(arguments):
        raise subprocess.CalledProcessError(status, [sys.executable, *arguments])


class WarmProcess:
    """The process that is forked for each command; it is started with the first of them.

    It ends when it is closed, and with the one that started it, as what it runs does.

    Example:
        >>> with WarmProcess(libraries=[]) as python:
        ...     python.run(["-m", "this"], Path.cwd(), out=Path(os.devnull))
        0

    Args:
        libraries: modules that the commands need.
    """

    def __init__(self, libraries: Sequence[str] = LIBRARIES) -> None:
        self.libraries = libraries
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._answers: IO[bytes] | None = None

    def run(
        self,
        arguments: Sequence[str],
        cwd: Path,
        *,
        timeout: int = 0,
        out: Path | None = None,
        err: Path | None = None,
    ) -> int:
        """Run ``python ARGUMENTS`` with this process's environment, and nothing to read.

        Args:
            arguments: ``-m MODULE …`` or ``SCRIPT …``.
            cwd: working directory.
            timeout: seconds after which the command is ended; 0 waits for it.
            out: file that its output is appended to; that of this process by default.
            err: the same for its standard error.

        Returns:
            The exit status; the negative number of a signal that ended the command.

        Raises:
            KeyboardInterrupt: once the command has ended, which is interrupted by the same keys.
            RuntimeError: if the process that is forked has ended.
        """
        request = {
            "arguments": [str(argument) for argument in arguments],
            "cwd": str(cwd),
            "environment": dict(os.environ),
            "timeout": timeout,
            "out": out and str(out),
            "err": err and str(err),
        }
        with self._lock:
            process, answers = self._started()
            assert process.stdin is not None
            answer = b""
            try:
                process.stdin.write(json.dumps(request).encode() + b"\n")
                answer = answers.readline()
            except BrokenPipeError:
                pass
            except KeyboardInterrupt:
                if not answer:
                    answers.readline()
                raise
            if not answer:
                raise RuntimeError(f"the process that is forked for commands ended with {process.wait()}")
        return int(answer)

    def _started(self) -> tuple[subprocess.Popen[bytes], IO[bytes]]:
        """Return the process, started once the first command is to run, and what its answers are read from."""
        if self._process is None or self._answers is None:
            answers, written = os.pipe()
            self._answers = open(answers, "rb", buffering=0)  # noqa: PTH123, SIM115 - of a descriptor; see close
            try:
                self._process = subprocess.Popen(
                    [sys.executable, __file__, str(written), *self.libraries],
                    stdin=subprocess.PIPE,
                    pass_fds=[written],
                    bufsize=0,
                )
            finally:
                os.close(written)
        return self._process, self._answers

    def close(self) -> None:
        """End the process, if it was started, and what it runs."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
        if self._answers is not None:
            self._answers.close()

    def __enter__(self) -> WarmProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _serve(answers: int, libraries: Sequence[str]) -> dict[str, Any] | None:
    """Fork for each request; returns the request in the child, and nothing at the end in the parent."""
    # an interruption ends this process as long as there is no command, and then is for the command, unless whoever
    # started this has it ignored
    inherited = signal.getsignal(signal.SIGINT)
    if inherited is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    for library in libraries:
        importlib.import_module(library)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for line in iter(sys.stdin.readline, ""):
        process = os.fork()
        if process == 0:
            os.close(answers)
            signal.signal(signal.SIGINT, inherited)
            request: dict[str, Any] = json.loads(line)
            return request
        status = _wait(process)
        os.write(answers, f"{os.waitstatus_to_exitcode(status)}\n".encode())
    return None


def _wait(process: int) -> int:
    """Wait for a command, and end it if nobody is there any more who wants its answer; returns its status."""
    asking = select.poll()
    asking.register(sys.stdin, 0)  # tells only that the other end is closed
    while True:
        ended, status = os.waitpid(process, os.WNOHANG)
        if ended:
            return status
        if asking.poll(_LOOK_MS):
            os.kill(process, signal.SIGKILL)
            return os.waitpid(process, 0)[1]


def _become(request: dict[str, Any]) -> None:
    """Be the process that ``python ARGUMENTS`` starts, for as long as the one that it was forked from is there."""
    import ctypes
    import runpy

    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["environment"])
    _redirect(0, os.devnull, os.O_RDONLY)
    for number, file in ((1, request["out"]), (2, request["err"])):
        if file is not None:
            _redirect(number, file, os.O_RDWR | os.O_APPEND)
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


def _redirect(number: int, file: str, flags: int) -> None:
    opened = os.open(file, flags)
    os.dup2(opened, number)
    os.close(opened)


if __name__ == "__main__":
    received = _serve(int(sys.argv[1]), sys.argv[2:])
    if received is not None:
        _become(received)
