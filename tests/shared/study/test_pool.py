"""Runs are done in order, after what they need, and failures do not stop the others."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass

import pytest

from shared.data.files import read_json
from shared.study.pool import Pool
from shared.study.workers import RenewedProcesses


@dataclass(frozen=True)
class Letter:
    key: str


LETTERS = [Letter(key) for key in "abcdef"]


@pytest.fixture
def make_pool(tmp_path):
    def make(action, done=(), workers=0, **options):
        return Pool(action, lambda run: run.key in done, tmp_path / "failures.json", workers, **options)

    return make


def test_what_is_done_is_not_done_again(make_pool):
    did = []
    assert make_pool(did.append, done="bd")(LETTERS) == {}
    assert [run.key for run in did] == ["a", "c", "e", "f"]


def test_a_failure_is_recorded_and_takes_along_what_needs_it(make_pool, tmp_path):
    did = []

    def action(run):
        if run.key == "b":
            raise MemoryError("not enough")
        did.append(run.key)

    needs = {"d": [LETTERS[1]], "e": [LETTERS[3]], "f": [LETTERS[0]]}
    pool = make_pool(action, requires=lambda run: needs.get(run.key, ()))
    failures = pool(LETTERS)
    assert did == ["a", "c", "f"]
    assert "not enough" in failures["b"]
    assert failures["d"] == "needs b, which has no result"
    assert failures["e"] == "needs d, which has no result"
    assert read_json(tmp_path / "failures.json") == failures


def test_a_run_waits_for_what_it_needs_whatever_the_order(make_pool):
    did = []
    pool = make_pool(did.append, requires=lambda run: [LETTERS[5]] if run.key == "a" else [])
    pool(LETTERS)
    assert [run.key for run in did] == ["b", "c", "d", "e", "f", "a"]


def test_no_run_is_started_when_the_time_is_up(make_pool):
    did = []

    def action(run):
        did.append(run.key)
        time.sleep(0.05)

    assert make_pool(action, seconds=0.08)(LETTERS) == {}
    assert did == ["a", "b"]


def test_what_would_not_end_in_time_is_not_started(make_pool):
    did = []

    pool = make_pool(lambda run: did.append(run.key), seconds=60.0, expected=lambda run: 600.0 * (run.key == "a"))
    assert pool(LETTERS) == {}
    assert "a" not in did
    assert did  # shorter ones behind it are done


def write_letter(run):
    if run.key.endswith("b"):
        raise ValueError("no b")
    with open(run.key, "w") as file:  # noqa: PTH123
        file.write(run.key)


def test_processes_do_the_same(tmp_path):
    runs = [Letter(str(tmp_path / letter)) for letter in "abc"]
    pool = Pool(write_letter, lambda run: False, tmp_path / "failures.json", workers=2)
    failures = pool(runs)
    assert set(failures) == {str(tmp_path / "b")}
    assert "no b" in failures[str(tmp_path / "b")]
    assert (tmp_path / "a").is_file()
    assert (tmp_path / "c").is_file()


def test_a_process_is_renewed_after_some_runs():
    with RenewedProcesses(1, tasks=2) as processes:
        seen = [processes.submit(os.getpid).result() for _ in range(3)]
    assert seen[0] == seen[1] != seen[2]
    assert os.getpid() not in seen


def test_nothing_waits_in_front_of_a_busy_process():
    with RenewedProcesses(1, tasks=2) as processes:
        first = processes.submit(time.sleep, 0.5)
        with pytest.raises(RuntimeError, match="all 1 processes are busy"):
            processes.submit(os.getpid)
        first.result()
        assert processes.submit(os.getpid).result() != os.getpid()


def die(run):
    os._exit(1)


def test_a_killed_process_ends_the_study(tmp_path):
    pool = Pool(die, lambda run: False, tmp_path / "failures.json", workers=1)
    with pytest.raises(RuntimeError, match="a worker was killed"):
        pool(LETTERS)
