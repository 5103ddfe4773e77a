"""Requests for one image of the server at the same time: each gets the file that it asked for."""

from __future__ import annotations

import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

SLIDES = SimpleNamespace(
    name="slides", takes_folders=False, keeps_output=True, image_suffixes=[".svs"], upload_suffixes=[".svs"]
)


class Worker:
    """Explains one request after another, each time in the same file of the folder that it is given."""

    def __init__(self):
        self.turn = threading.Lock()

    def ask(self, do, items=(), work_dir="", method=None, **_):
        if do == "check":
            return {"unit": "slide", "intended_use": "research"}
        with self.turn:
            file = Path(work_dir) / "overlay.png"
            file.write_text(method)
        files = {"overlay_png": str(file)}
        answer = {"explanations": [{"method": method, "target_class": "tumour", "files": files}]}
        timings = {"waiting": 0.0, "station": 0.0}
        return {"refused": {}, "answers": {items[0]["key"]: answer}, "model": {}, "timings": timings}


@pytest.fixture
def bundle_infer(lib, monkeypatch):
    """The module; MONAI Label itself is in another environment."""
    stub = ModuleType("monailabel.interfaces.tasks.infer_v2")
    stub.InferTask = type("InferTask", (), {"__init__": lambda self, *_: None})
    stub.InferType = SimpleNamespace(CLASSIFICATION="classification")
    for name in ("monailabel", "monailabel.interfaces", "monailabel.interfaces.tasks"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, stub.__name__, stub)
    yield lib("infers.bundle_infer")
    sys.modules.pop("lib.infers.bundle_infer")


def test_a_file_is_fetched_before_the_next_request_writes_its_own(lib, bundle_infer, monkeypatch, tmp_path):
    fetch = bundle_infer._chosen_file

    def slowly(*arguments):
        time.sleep(0.1)
        return fetch(*arguments)

    monkeypatch.setattr(bundle_infer, "_chosen_file", slowly)
    task = bundle_infer.BundleInfer(SLIDES, Worker(), lib("archives").ArchiveLimits(), tmp_path / "kept")
    task._said = task.worker.ask("check")
    (tmp_path / "slide.svs").write_bytes(b"1")
    given = lib("inputs").Input("slide", tmp_path / "slide.svs", {}, kept=True)

    def ask(method):
        parameters = lib("parameters").InferParameters(True, method)
        path, said = task({"input": given, "parameters": parameters, "output": "image"})
        return Path(path).read_text(), said["timings"]

    methods = ["attention", "lrp", "smooth_grad"]
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(ask, methods))
    assert [text for text, _ in found] == methods
    assert max(timings["waiting"] for _, timings in found) > 0.1
