"""A real archive for tests: Orthanc with its DICOMweb plugin, on a free port of the loopback address."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

USER, PASSWORD = "tester", "wort-des-tests"
PLACES = ("/usr/share/orthanc/plugins", "/usr/lib/orthanc", "/usr/local/share/orthanc/plugins")


@contextmanager
def running_orthanc(folder: Path) -> Iterator[str]:
    """Start the server with an empty archive below a folder; yields the root of its DICOMweb service."""
    program = shutil.which("Orthanc") or shutil.which("Orthanc", path="/usr/sbin")
    plugins = sorted(file for place in PLACES for file in Path(place).glob("libOrthancDicomWeb.so*"))
    if program is None or not plugins:
        pytest.skip("Orthanc or its DICOMweb plugin is not installed; apt-get install orthanc orthanc-dicomweb")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = {
        "StorageDirectory": str(folder / "archive"),
        "IndexDirectory": str(folder / "archive"),
        "HttpPort": port,
        "DicomServerEnabled": False,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": True,
        "RegisteredUsers": {USER: PASSWORD},
        "Plugins": [str(plugins[-1])],
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
    }
    (folder / "archive").mkdir(parents=True)
    (folder / "orthanc.json").write_text(json.dumps(settings))
    with (folder / "orthanc.log").open("wb") as log:
        process = subprocess.Popen([program, str(folder / "orthanc.json")], stdout=log, stderr=log)
    root = f"http://127.0.0.1:{port}/dicom-web"
    try:
        _wait(process, root, folder / "orthanc.log")
        yield root
    finally:
        process.terminate()
        process.wait(30)


def _wait(process: subprocess.Popen, root: str, log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            requests.get(f"{root}/studies", params={"limit": 1}, auth=(USER, PASSWORD), timeout=5).raise_for_status()
        except requests.ConnectionError:
            time.sleep(0.1)
        else:
            return
    pytest.fail(f"Orthanc did not start: {log.read_text(errors='replace')[-2000:]}")
