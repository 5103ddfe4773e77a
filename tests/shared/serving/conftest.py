"""A worker of a trained bundle, as another process talks to it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.served_bundles import REPOSITORY


class WorkerProcess:
    """A worker process; ``ask`` returns its reply, ``progress`` keeps what came before it."""

    def __init__(self, root):
        command = [sys.executable, "-m", "shared.serving.worker", "--bundle", str(root)]
        self.process = subprocess.Popen(
            command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        self.progress = []

    def ask(self, do, **arguments):
        return self.send(json.dumps({"do": do, "id": 7, **arguments}))

    def send(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        self.progress = []
        while True:
            text = self.process.stdout.readline()
            assert text, "the worker ended"
            reply = json.loads(text)
            if "progress" not in reply:
                return reply
            self.progress.append(reply["progress"])

    def close(self):
        self.process.stdin.close()
        self.process.wait(timeout=60)
        self.process.stdout.close()


@pytest.fixture(scope="module")
def start_worker():
    """Start a worker on the folder of a bundle; it ends with the module's tests."""
    started = []

    def start(root):
        started.append(WorkerProcess(root))
        return started[-1]

    yield start
    for worker in started:
        worker.close()
