"""The command finds the bundle of a study, and tells it which one is wanted if it has several."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from types import ModuleType

import pytest

from shared.study.run import Outcome


@pytest.fixture
def command(repository, monkeypatch):
    path = list(sys.path)
    yield runpy.run_path(str(repository / "scripts" / "reproduce.py"), run_name="imported")
    sys.path[:] = path


@pytest.fixture
def calls(monkeypatch):
    """Instead of the bundle's own studies."""
    made = []

    def run_study(**arguments):
        made.append(arguments)
        return Outcome([Path("table.md")], {"a run": "Traceback\nValueError: too bad"} if len(made) > 1 else {})

    module = ModuleType("scripts.study.main")
    module.run_study = run_study
    for name in ("scripts", "scripts.study"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, "scripts.study.main", module)
    return made


@pytest.mark.parametrize("name", ["mnist-bags", "leukocyte_qpi"])
def test_a_study_is_done_by_its_bundle(command, calls, monkeypatch, repository, tmp_path, capsys, name):
    monkeypatch.setattr(sys, "argv", ["reproduce.py", name, "--data", str(tmp_path), "--quick", "--seeds", "2"])
    assert command["main"]() == 0
    bundle = command["STUDIES"][name].bundle
    assert sys.path[0] == str(repository / "bundles" / bundle)
    expected = {
        "data": tmp_path,
        "output": repository / "studies" / f"{name}_quick",
        "mode": "quick",
        "seeds": 2,
        "workers": 2,
        "table_only": False,
        **({} if bundle == name else {"study": name}),
    }
    assert calls == [expected]
    assert capsys.readouterr().out == "table.md\n"
    assert command["main"]() == 1
    assert "failed: a run: ValueError: too bad" in capsys.readouterr().out


def test_every_study_has_a_bundle_that_can_do_it(command, repository):
    for name, study in command["STUDIES"].items():
        main = repository / "bundles" / study.bundle / "scripts" / "study" / "main.py"
        assert main.is_file()
        assert study.text
        if study.bundle != name:
            assert f'"{name}"' in main.read_text()


def test_only_a_study_that_generates_its_data_needs_none(command, calls, monkeypatch, repository, capsys):
    monkeypatch.setattr(sys, "argv", ["reproduce.py", "camelyon_attmil"])
    assert command["main"]() == 0
    assert calls[0]["data"] == calls[0]["output"] == repository / "studies" / "camelyon_attmil"
    monkeypatch.setattr(sys, "argv", ["reproduce.py", "bag-explanations"])
    with pytest.raises(SystemExit):
        command["main"]()
    assert "required for bag-explanations: --data" in capsys.readouterr().err
