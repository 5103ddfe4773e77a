"""A bundle's process in the project's own environment, and requests to it, one after another."""

from __future__ import annotations

import itertools
import json
import logging
import os
import queue
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from lib.errors import RequestError, WorkerError

__all__ = ["BundleWorker"]

logger = logging.getLogger(__name__)

Reply = dict[str, Any]
ENDED = object()


class BundleWorker:
    """Starts ``python -m shared.serving.worker`` and talks to it; safe to be asked from several threads.

    A worker that ended is started anew for the next request; the one that it did not answer gets an error.

    Args:
        bundle: folder of the bundle.
        python: interpreter of the project's environment.
        repository: folder of the package ``shared``.
        timeout: seconds that an answer may take; the worker is ended then.
    """

    def __init__(self, bundle: Path, python: str, repository: Path, timeout: float = 600.0) -> None:
        self.bundle = bundle
        self.python = python
        self.repository = repository
        self.timeout = timeout
        self._process: subprocess.Popen[str] | None = None
        self._replies: queue.Queue[Any] = queue.Queue()
        self._said: deque[str] = deque(maxlen=20)
        self._turn = threading.Lock()
        self._numbers = itertools.count()
        self._closed = False

    @property
    def name(self) -> str:
        """Name of the bundle."""
        return self.bundle.name

    @property
    def pid(self) -> int | None:
        """Number of the process; None if none runs."""
        return None if self._process is None else self._process.pid

    def ask(
        self,
        do: str,
        progress: Callable[[str], None] | None = None,
        timeout: float | None = None,
        **arguments: Any,
    ) -> Reply:
        """Send a request when its turn comes and return the reply.

        Args:
            do: what is asked, see :mod:`shared.serving.worker`.
            progress: takes lines of progress.
            timeout: seconds without any line from the worker after which it is given up; None for the usual.
            arguments: of the request.

        Returns:
            The reply; ``timings`` in it say also how long the request waited for its turn.

        Raises:
            RequestError: if the request's files or values are at fault.
            WorkerError: if the worker ended or took too long, with the last that it said, or found a fault of its own.
        """
        arrived = time.monotonic()
        with self._turn:
            waited = time.monotonic() - arrived
            if self._closed:
                raise WorkerError(f"{self.name}: the server is ending")
            if self._process is None or self._process.poll() is not None:
                self._start()
            reply = self._exchange({"do": do, **arguments}, progress, timeout or self.timeout)
        if not reply["ok"]:
            if reply["kind"] == "data":
                raise RequestError(reply["error"], 422)
            raise WorkerError(f"{self.name}: {reply['error']}")
        if "timings" in reply:
            reply["timings"]["waiting"] = round(waited, 3)
        return reply

    def close(self) -> None:
        """End the process, after the request that it works on."""
        self._closed = True
        process = self._process
        if process is None or process.poll() is not None:
            return
        try:
            if process.stdin is not None:
                process.stdin.close()
            process.wait(timeout=5)
        except (OSError, subprocess.TimeoutExpired):
            self._kill(process)

    def _exchange(self, request: dict[str, Any], progress: Callable[[str], None] | None, timeout: float) -> Reply:
        identity = next(self._numbers)
        process = self._process
        assert process is not None
        assert process.stdin is not None
        try:
            process.stdin.write(json.dumps({**request, "id": identity}) + "\n")
            process.stdin.flush()
        except OSError:
            raise self._ended(process) from None
        while True:
            try:
                reply = self._replies.get(timeout=timeout)
            except queue.Empty:
                self._kill(process)
                raise WorkerError(f"{self.name}: no answer in {timeout:g} s; the worker is started anew") from None
            if reply is ENDED:
                raise self._ended(process)
            if reply.get("id") != identity:
                continue
            if "progress" not in reply:
                return reply
            if progress is not None:
                progress(reply["progress"])

    def _start(self) -> None:
        # a server's environment is not the worker's: its module path names packages of other versions
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONHOME"}
        environment |= {"PYTHONPATH": str(self.repository), "PYTHONUNBUFFERED": "1", "MPLBACKEND": "Agg"}
        environment.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        self._replies, self._said = queue.Queue(), deque(maxlen=20)
        try:
            process = subprocess.Popen(
                [self.python, "-m", "shared.serving.worker", "--bundle", str(self.bundle)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                encoding="utf-8",
                errors="replace",
                cwd=self.repository,
                env=environment,
            )
        except OSError as error:
            raise WorkerError(f"{self.name}: {self.python} cannot be started ({error}); see --conf python") from error
        self._process = process
        assert process.stdout is not None
        assert process.stderr is not None
        threading.Thread(target=_pass_on, args=(process.stdout, self._replies), daemon=True).start()
        threading.Thread(target=self._listen, args=(process.stderr, self._said), daemon=True).start()
        logger.info(f"{self.name}: worker {process.pid} started")

    def _listen(self, stream: IO[str], said: deque[str]) -> None:
        """Keep the last lines that a worker says besides its replies, for the error if it ends."""
        for line in stream:
            # a progress bar draws itself over and over on one line
            if text := line.rstrip().rpartition("\r")[2]:
                said.append(text)
                logger.debug(f"{self.name}: {text}")

    def _ended(self, process: subprocess.Popen[str]) -> WorkerError:
        code = process.wait(timeout=10)
        time.sleep(0.1)  # for the last lines that it said
        reason = f"signal {-code}" if code < 0 else f"exit code {code}"
        last = self._said[-1] if self._said else "it said nothing"
        return WorkerError(
            f"{self.name}: the worker ended ({reason}) before it answered; the last that it said: {last}. It is "
            "started anew for the next request"
        )

    def _kill(self, process: subprocess.Popen[str]) -> None:
        process.kill()
        process.wait(timeout=10)


def _pass_on(stream: IO[str], replies: queue.Queue[Any]) -> None:
    for line in stream:
        try:
            replies.put(json.loads(line))
        except ValueError:
            logger.warning(f"not a reply: {line[:200]!r}")
    replies.put(ENDED)
