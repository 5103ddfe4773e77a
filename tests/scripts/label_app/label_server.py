"""A MONAI Label server as ``serve.sh`` starts it, and MONAI Label's own client, each in the label environment."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[3]
APP = REPOSITORY / "scripts" / "label_app"
PYTHON = Path(os.environ.get("LABEL_PYTHON", REPOSITORY / ".venv-label" / "bin" / "python"))
MISSING = f"the environment of the MONAI Label server is not there ({PYTHON}); ./scripts/test.sh sets it up"

needs_label_environment = pytest.mark.skipif(not PYTHON.is_file(), reason=MISSING)

CLIENT = """
import json, sys
from monailabel.client import MONAILabelClient
for line in sys.stdin:
    url, tmpdir, token, name, args, kwargs = json.loads(line)
    client = MONAILabelClient(url, tmpdir)
    client.update_auth(token)
    try:
        reply = {"ok": getattr(client, name)(*args, **kwargs)}
    except Exception as error:
        reply = {"error": str(error), "message": str(getattr(error, "msg", error)), "kind": type(error).__name__}
    # of an answer without a file the client returns the bytes that it received
    print(json.dumps(reply, default=lambda value: json.loads(value)), flush=True)
"""


class Server:
    """A server process on a free port of the loopback address.

    Args:
        folder: for its log, sessions and images that are sent back.
        bundles: folder of the bundles.
        studies: folder of the datastore.
        conf: settings of the app.
        environment: further variables.
    """

    def __init__(
        self,
        folder: Path,
        bundles: Path,
        studies: Path,
        conf: dict[str, Any] | None = None,
        environment: dict[str, str] | None = None,
    ) -> None:
        self.folder, self.studies = folder, studies
        folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        settings = {"zoo_source": "local", "python": sys.executable, "bundles": bundles, **(conf or {})}
        options = [part for key, value in settings.items() for part in ("--conf", key, str(value))]
        self.command = [
            str(PYTHON), "-m", "monailabel.main", "start_server", "--app", str(APP), "--studies", str(studies),
            "--uvicorn_app", "server:app", "--host", "127.0.0.1", "--port", str(self.port), *options,
        ]  # fmt: skip
        self.environment = {
            **os.environ,
            "PYTHONPATH": str(APP),
            "MONAI_LABEL_SESSION_PATH": str(folder / "sessions"),
            "MONAI_LABEL_TRACKING_ENABLED": "false",
            "OMP_WAIT_POLICY": "PASSIVE",
            "PYTHONWARNINGS": "ignore",
            **(environment or {}),
        }
        self.log = folder / "server.log"
        self.process: subprocess.Popen[bytes] | None = None
        self.client_process: subprocess.Popen[str] | None = None

    def start(self, timeout: float = 900) -> Server:
        """Start, and wait until it answers."""
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                self.command, cwd=self.folder, env=self.environment, stdout=log, stderr=subprocess.STDOUT
            )
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                pytest.fail(f"the server ended\n{self.log.read_text()[-4000:]}")
            try:
                urllib.request.urlopen(f"{self.url}/openapi.json", timeout=20).read()
                return self
            except (urllib.error.URLError, OSError):
                time.sleep(0.3)
        self.stop()
        pytest.fail(f"the server did not answer\n{self.log.read_text()[-4000:]}")

    def stop(self) -> None:
        """End the server and the client."""
        if self.client_process is not None and self.client_process.stdin is not None:
            self.client_process.stdin.close()
            self.client_process.wait(timeout=60)
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                pytest.fail(f"the server did not end\n{self.log.read_text()[-4000:]}")

    def call(self, name: str, *args: Any, token: Any = None, **kwargs: Any) -> Any:
        """Call a method of MONAI Label's client; its error is an ``AssertionError`` that says what the server said."""
        reply = self.ask_client(name, *args, token=token, **kwargs)
        assert "ok" in reply, reply.get("message")
        return reply["ok"]

    def ask_client(self, name: str, *args: Any, token: Any = None, **kwargs: Any) -> dict[str, Any]:
        """Call a method of MONAI Label's client; return ``ok``, or ``error`` and ``message``."""
        if self.client_process is None:
            self.client_process = subprocess.Popen(
                [str(PYTHON), "-W", "ignore", "-c", CLIENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL, text=True, cwd=self.folder,
            )  # fmt: skip
        assert self.client_process.stdin is not None
        assert self.client_process.stdout is not None
        asked = [self.url, str(self.folder / "client"), token, name, args, kwargs]
        self.client_process.stdin.write(json.dumps(asked, default=str) + "\n")
        self.client_process.stdin.flush()
        reply: dict[str, Any] = json.loads(self.client_process.stdout.readline())
        return reply

    def http(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        """Send a request as any client may; return status, headers and body."""
        request = urllib.request.Request(f"{self.url}{path}", data=body, method=method, headers=headers or {})
        try:
            with urllib.request.urlopen(request, timeout=600) as response:
                return response.status, dict(response.headers), response.read()
        except urllib.error.HTTPError as error:
            return error.code, dict(error.headers), error.read()

    def form(
        self,
        method: str,
        path: str,
        fields: dict[str, str] | None = None,
        files: dict[str, tuple[str, bytes]] | None = None,
    ) -> tuple[int, Any]:
        """Send a form with files under any names; return status and the JSON answer, or bytes."""
        boundary = "fffffffffffffffffffffffff"
        body = b""
        for name, value in (fields or {}).items():
            body += f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, (filename, content) in (files or {}).items():
            head = f'Content-Disposition: form-data; name="{name}"; filename="{filename}"'
            body += f"--{boundary}\r\n{head}\r\nContent-Type: application/octet-stream\r\n\r\n".encode()
            body += content + b"\r\n"
        body += f"--{boundary}--\r\n".encode()
        kind = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
        status, headers, answer = self.http(method, path, body, kind)
        is_json = headers.get("content-type", "").startswith("application/json")
        return status, json.loads(answer) if is_json else answer


def free_port() -> int:
    """Return a port of the loopback address that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
