"""``python scripts/export.py``: what it says to a user who mistypes something, without a traceback."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture
def main(repository):
    specification = importlib.util.spec_from_file_location("export_script", repository / "scripts" / "export.py")
    script = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(script)
    return script.main


def test_help_and_mistyped_names_do_not_wait_for_torch(repository, tmp_path):
    code = (
        "import runpy, sys; sys.modules.update(dict.fromkeys(['torch', 'monai'])); sys.argv = sys.argv[1:]; "
        "runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    command = [sys.executable, "-c", code, str(repository / "scripts" / "export.py")]
    done = subprocess.run([*command, "--help"], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "camelyon_attmil, chexpert_informer, leukocyte_qpi, lymphocytosis_moe" in " ".join(done.stdout.split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none"], "unknown bundle 'none'; known are: camelyon_attmil, "),
        (["leukocyte_qpi", "--format", "tflite"], "invalid choice: 'tflite'"),
    ],
)
def test_usage(main, capsys, arguments, message):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["stray"], "error: expected --key value, found 'stray'"),
        (["--ckpt_dir", "nowhere"], "error: nowhere/model.pt: no such weights; run the bundle's training"),
        (["--sed", "3"], "error: the setting 'sed' has no effect"),
        (["--settings", "none.json"], "error: none.json: no such file"),
    ],
)
def test_settings(main, capsys, bundle_scripts, arguments, message):
    bundle_scripts("leukocyte_qpi")
    assert main(["leukocyte_qpi", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_settings_of_a_file_are_those_of_the_network_and_the_command_line_comes_first(main, monkeypatch):
    given = {}
    monkeypatch.setattr("shared.export.command.export_bundle", lambda _, overrides: given.update(overrides))
    demo = Path(__file__).resolve().parents[2] / "bundles" / "chexpert_informer" / "configs" / "demo.json"
    assert main(["chexpert_informer", "--settings", str(demo), "--init_features", "8"]) == 0
    network = {"image_size": 96, "init_features": 8, "growth_rate": 12, "block_config": [3, 4, 4]}
    assert given == network | {"export_format": "onnx"}
