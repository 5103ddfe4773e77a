"""``python scripts/package.py``: what it says to a user who mistypes something, without a traceback."""

from __future__ import annotations

import importlib.util

import pytest


@pytest.fixture
def main(repository):
    specification = importlib.util.spec_from_file_location("package_script", repository / "scripts" / "package.py")
    script = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(script)
    return script.main


def test_usage(main, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["none"])
    assert ended.value.code == 2
    assert "unknown bundle 'none'; known are: camelyon_attmil, " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["stray"], "error: expected --key value, found 'stray'"),
        (["--models", "nowhere"], "error: nowhere/model.pt: no such file; run the bundle's training"),
        (["--settings", "none.json"], "error: none.json: no such file"),
    ],
)
def test_settings(main, capsys, arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["leukocyte_qpi", *arguments]) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
