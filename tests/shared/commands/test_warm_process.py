"""A command in a forked process does what it does in one of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from shared.commands.warm_process import WarmProcess, python_commands
from tests.warm import run_warm

SCRIPT = """
import json, multiprocessing, os, sys, pathlib
def double(number):
    return 2 * number
if __name__ == "__main__":
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        doubled = pool.map(double, [21])
    beside = {"shared", "tests", "scripts"} & set(sys.modules)
    print(json.dumps([sys.argv, os.getcwd(), sys.path[0], os.environ.get("TOLD"), __name__, doubled, sorted(beside)]))
    print("aside", file=sys.stderr)
    if sys.argv[1:] == ["fail"]:
        raise ValueError("what failed")
    if sys.argv[1:] == ["leave"]:
        sys.exit(3)
    if sys.argv[1:] == ["wait"]:
        import time
        time.sleep(60)
"""


@pytest.mark.parametrize("last", ["pass", "fail", "leave"])
@pytest.mark.parametrize("form", ["script", "module"])
def test_it_is_what_python_does(tmp_path, monkeypatch, form, last):
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    place = tmp_path if form == "module" else folder
    (place / "said.py").write_text(SCRIPT)
    arguments = ["-m", "said", last] if form == "module" else [str(folder / "said.py"), last]
    monkeypatch.setenv("TOLD", f"of {last}")
    found = run_warm(arguments, tmp_path)
    expected = subprocess.run([sys.executable, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert found.stdout == expected.stdout
    assert found.returncode == expected.returncode == {"pass": 0, "fail": 1, "leave": 3}[last]
    assert found.stderr.splitlines()[0] == "aside"
    assert found.stderr.splitlines()[-1] == expected.stderr.splitlines()[-1]


def test_a_process_that_lasts_too_long_is_ended(tmp_path):
    (tmp_path / "said.py").write_text(SCRIPT)
    done = run_warm(["-m", "said", "wait"], tmp_path, timeout=3)
    assert done.returncode == -signal.SIGALRM
    assert str(os.getpid()) not in done.stdout


INTERRUPTED = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # whatever the one who started the tests has set
from pathlib import Path
from shared.commands.warm_process import WarmProcess
with WarmProcess(libraries=["json"]) as python:
    try:
        python.run([sys.argv[1], "wait"], Path.cwd())
    except KeyboardInterrupt:
        print("interrupted", flush=True)
"""


def is_there(group):
    """A process of this group has not ended."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


POOL = """
import pathlib, time
from shared.data.processes import in_processes
def wait(number):
    pathlib.Path(f"begun{number}").touch()
    time.sleep(60)
if __name__ == "__main__":
    dict(in_processes(wait, [1, 2], workers=2))
"""


def test_what_runs_ends_with_whoever_wanted_it(tmp_path):
    (tmp_path / "said.py").write_text(POOL)
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])}
    arguments = [sys.executable, "-c", INTERRUPTED, "said.py"]
    process = subprocess.Popen(arguments, cwd=tmp_path, env=environment, start_new_session=True)
    deadline = time.monotonic() + 60
    while not all((tmp_path / f"begun{number}").exists() for number in (1, 2)) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.terminate()
    assert process.wait(timeout=30) == -signal.SIGTERM
    deadline = time.monotonic() + 10
    while (left := is_there(process.pid)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not left


def test_keys_that_interrupt_end_the_command_and_are_told(tmp_path):
    (tmp_path / "said.py").write_text(SCRIPT.replace("time.sleep(60)", "pathlib.Path('begun').touch(); time.sleep(60)"))
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])}
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, "said.py"],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while not (tmp_path / "begun").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert out.splitlines()[-1] == "interrupted"
    assert err.splitlines()[-1] == "KeyboardInterrupt", "by the command, which said so itself"
    assert process.returncode == 0
    deadline = time.monotonic() + 10
    while (left := is_there(process.pid)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not left


def test_a_command_ends_with_the_process_that_it_was_forked_from(tmp_path):
    (tmp_path / "said.py").write_text(
        "import os, pathlib, time; pathlib.Path('begun').write_text(str(os.getpid())); time.sleep(60)"
    )
    with WarmProcess(libraries=[]) as python, ThreadPoolExecutor(1) as pool:
        running = pool.submit(python.run, ["said.py"], tmp_path)
        deadline = time.monotonic() + 60
        while not ((tmp_path / "begun").exists() and (tmp_path / "begun").read_text()) and time.monotonic() < deadline:
            time.sleep(0.02)
        command = int((tmp_path / "begun").read_text())
        python.close()
        with pytest.raises(RuntimeError, match="ended with -9"):
            running.result(timeout=30)
    deadline = time.monotonic() + 10
    while (left := Path(f"/proc/{command}").exists()) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not left


def test_output_goes_where_that_of_this_process_goes(tmp_path, capfd):
    (tmp_path / "said.py").write_text(
        "import sys; print('out'); print('err', file=sys.stderr); print(sys.stdin.read())"
    )
    with WarmProcess(libraries=[]) as python:
        assert python.run(["said.py"], tmp_path) == 0
    assert capfd.readouterr() == ("out\n\n", "err\n")


def test_a_process_that_ended_is_told(tmp_path):
    with WarmProcess(libraries=["no_such_library"]) as python, pytest.raises(RuntimeError, match="ended with 1"):
        python.run(["said.py"], tmp_path)


@pytest.mark.parametrize("platform", ["linux", "darwin"])
def test_commands_that_fail_raise(tmp_path, monkeypatch, platform):
    (tmp_path / "said.py").write_text("import sys; sys.exit(int(sys.argv[1]))")
    monkeypatch.setattr(sys, "platform", platform)
    with python_commands(tmp_path, libraries=[]) as python:
        python(["said.py", "0"])
        with pytest.raises(subprocess.CalledProcessError, match="exit status 3"):
            python(["said.py", "3"])
