"""``serve.sh`` as it is typed: what it says without setting anything up, and that all it needs is pinned."""

from __future__ import annotations

import re
import subprocess

import pytest

from tests.scripts.label_app.label_server import APP, REPOSITORY

SCRIPT = REPOSITORY / "scripts" / "serve.sh"


def serve(*arguments):
    return subprocess.run(["bash", str(SCRIPT), *arguments], capture_output=True, text=True, timeout=60)


def test_help():
    done = serve("--help")
    assert done.returncode == 0
    for option in ("--models", "--studies", "--host", "--port", "max_upload_mb", "127.0.0.1"):
        assert option in done.stdout


def test_help_names_every_setting_of_the_app(lib):
    settings = lib("settings")
    known = {*settings.NUMBERS, "bundles", "hosts"}
    assert all(key in serve("--help").stdout for key in known)


@pytest.mark.parametrize("arguments", [("--port",), ("--models",), ("--conf",), ("--conf", "hosts")])
def test_an_option_without_its_value(arguments):
    done = serve(*arguments)
    assert done.returncode == 2
    assert "needs a" in done.stderr


def test_every_requirement_is_pinned():
    lines = [line for line in (APP / "requirements.txt").read_text().splitlines() if not line.startswith("#")]
    assert lines
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]+==[A-Za-z0-9_.]+", line) for line in lines)
    pinned = dict(line.split("==") for line in lines)
    ours = dict(line.split("==") for line in (REPOSITORY / "requirements.txt").read_text().splitlines() if "==" in line)
    # both environments take the one wheel that was fetched
    assert pinned["torch"] == ours["torch"]
