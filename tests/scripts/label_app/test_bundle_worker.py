"""Talking to a worker: requests wait for their turn, and a worker that ends or hangs takes no other request with it."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

# behaves as it is asked to
WORKER = """
import json, os, sys, time
for line in sys.stdin:
    request = json.loads(line)
    reply = {"id": request["id"], "ok": True, "timings": {}}
    if request["do"] == "die":
        print("out of memory, sorry", file=sys.stderr)
        sys.exit(3)
    if request["do"] == "killed":
        os.kill(os.getpid(), 9)
    if request["do"] == "sleep":
        time.sleep(request["seconds"])
    if request["do"] == "noise":
        print("no reply")
        print(json.dumps({"id": 99, "ok": True}))
    if request["do"] == "train":
        for epoch in range(3):
            print(json.dumps({"id": request["id"], "progress": f"epoch {epoch}"}))
    if request["do"] in ("data", "internal"):
        reply |= {"ok": False, "kind": request["do"], "error": "what is wrong"}
    print(json.dumps({**reply, "said": request.get("say"), "pid": os.getpid(), "path": sys.path[1:]}), flush=True)
"""


@pytest.fixture
def start(lib, tmp_path):
    package = tmp_path / "repository" / "shared" / "serving"
    package.mkdir(parents=True)
    (package / "worker.py").write_text(WORKER)
    workers = []

    def make(name="leukocyte_qpi", **options):
        workers.append(
            lib("bundle_worker").BundleWorker(tmp_path / name, sys.executable, tmp_path / "repository", **options)
        )
        return workers[-1]

    yield make
    for worker in workers:
        worker.close()


def test_a_reply(start):
    worker = start()
    assert worker.pid is None, "it starts when it is first asked"
    reply = worker.ask("echo", say="größe")
    assert reply["said"] == "größe"
    assert reply["timings"]["waiting"] < 60
    assert worker.ask("echo")["pid"] == worker.pid == reply["pid"]


def test_many_at_once_get_each_their_own_reply(start):
    worker = start()
    with ThreadPoolExecutor(16) as pool:
        replies = list(pool.map(lambda n: worker.ask("echo", say=n)["said"], range(200)))
    assert replies == list(range(200))


def test_requests_to_two_bundles_run_at_the_same_time(lib, start):
    first, second = start("a"), start("b")
    for worker in (first, second):
        worker.ask("echo")
    with ThreadPoolExecutor(1) as pool:
        long = pool.submit(first.ask, "sleep", seconds=600)
        assert second.ask("echo")["ok"]
        assert not long.done()
        first._process.kill()
        with pytest.raises(lib("errors").WorkerError):
            long.result()


@pytest.mark.parametrize(("how", "said"), [("die", "exit code 3"), ("killed", "signal 9")])
def test_a_worker_that_ends_is_named_and_started_anew(lib, start, how, said):
    worker = start()
    before = worker.ask("echo")["pid"]
    with pytest.raises(lib("errors").WorkerError) as ended:
        worker.ask(how)
    assert str(ended.value).startswith("leukocyte_qpi: the worker ended")
    assert said in str(ended.value)
    if how == "die":
        assert "out of memory, sorry" in str(ended.value)
    assert worker.ask("echo")["pid"] != before


def test_who_waits_behind_a_worker_that_ends_is_answered(lib, start):
    worker = start()
    worker.ask("echo")
    with ThreadPoolExecutor(9) as pool:
        dying = pool.submit(worker.ask, "die")
        replies = [pool.submit(worker.ask, "echo", say=n) for n in range(8)]
        with pytest.raises(lib("errors").WorkerError):
            dying.result()
        assert [reply.result()["said"] for reply in replies] == list(range(8))


def test_a_worker_that_takes_too_long_is_ended(lib, start):
    worker = start(timeout=60)
    before = worker.ask("echo")["pid"]
    with pytest.raises(lib("errors").WorkerError, match=r"no answer in 0\.5 s"):
        worker.ask("sleep", seconds=600, timeout=0.5)
    assert worker.ask("echo")["pid"] != before


def test_a_fault_of_the_request_and_one_of_the_worker(lib, start):
    worker = start()
    with pytest.raises(lib("errors").RequestError, match="what is wrong") as fault:
        worker.ask("data")
    assert fault.value.status == 422
    with pytest.raises(lib("errors").WorkerError, match="leukocyte_qpi: what is wrong"):
        worker.ask("internal")


def test_lines_that_are_no_reply_are_passed_over(start):
    assert start().ask("noise", say=5)["said"] == 5


def test_progress_comes_line_by_line(start):
    lines = []
    start().ask("train", progress=lines.append)
    assert lines == ["epoch 0", "epoch 1", "epoch 2"]


def test_the_server_s_module_path_is_not_the_worker_s(start, monkeypatch, tmp_path):
    monkeypatch.setenv("PYTHONPATH", "/label/environment")
    path = start().ask("echo")["path"]
    assert "/label/environment" not in path
    assert str(tmp_path / "repository") in path


def test_a_worker_ends_with_its_server(start):
    worker = start()
    worker.ask("echo")
    process = worker._process
    worker.close()
    assert process.poll() is not None


def test_an_interpreter_that_is_not_there(lib, start):
    worker = start()
    worker.python = "/no/such/python"
    with pytest.raises(lib("errors").WorkerError, match="cannot be started"):
        worker.ask("echo")
