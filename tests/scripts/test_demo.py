"""``scripts/demo.py``: which stations are run, in which order, and which are left out because nothing has changed."""

from __future__ import annotations

import importlib.util
import os
import subprocess
from contextlib import contextmanager
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
TRAINED = sorted(path.parents[1].name for path in (REPOSITORY / "bundles").glob("*/configs/train.json"))
STATIONS = {
    "training": "models/model.pt",
    "calibrating": "models/calibration.json",
    "evaluating": "eval/metrics.json",
    "explaining": "eval/explanations/index.json",
    "repeating": "eval/repeatability.json",
}


class Stations:
    """What the commands would do: each writes its output, later than all before."""

    def __init__(self, folder, bundle):
        self.root, self.commands, self.time = folder / "bundles" / bundle, [], 1_000_000

    def __call__(self, arguments):
        self.commands.append(arguments)
        if arguments[0] == "scripts/prepare.py":
            return
        output = self.root / STATIONS[arguments[3]]
        if "--ckpt_dir" in arguments:
            output = Path(arguments[arguments.index("--ckpt_dir") + 1]) / output.name
        elif arguments[3] == "training" and output.exists():
            return  # a training that is done leaves its model alone
        self.write(output)

    def write(self, output):
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text("")
        self.time += 10
        os.utime(output, (self.time, self.time))

    @property
    def names(self):
        said = [arguments[3] if arguments[0] == "-m" else "prepare" for arguments in self.commands]
        self.commands.clear()
        return said


@pytest.fixture
def script(tmp_path, monkeypatch):
    spec = importlib.util.spec_from_file_location("demo_script", REPOSITORY / "scripts" / "demo.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "REPOSITORY", tmp_path)
    monkeypatch.setattr(module.Path, "touch", lambda path: None)
    monkeypatch.chdir(tmp_path)
    for name in module.SETTINGS:
        monkeypatch.setenv(name, "")
    (tmp_path / "bundles").mkdir()
    for bundle in TRAINED:
        (tmp_path / "bundles" / bundle).mkdir()
        (tmp_path / "bundles" / bundle / "configs").symlink_to(REPOSITORY / "bundles" / bundle / "configs")
    return module


@pytest.mark.parametrize("bundle", TRAINED)
def test_only_what_is_older_than_its_input_is_run_again(script, tmp_path, bundle):
    stations = Stations(tmp_path, bundle)
    demonstration = script.Demonstration(bundle, stations)
    demonstration.run()
    twice = ["training"] * (bundle in script.TWICE)
    last = ["repeating"] * (demonstration.root / "configs" / "repeatability.json").is_file()
    assert stations.names == ["prepare", "training", *twice, "calibrating", "evaluating", "explaining", *last]
    demonstration.run()
    assert stations.names == ["prepare", "training"]
    stations.write(stations.root / STATIONS["evaluating"])
    demonstration.run()
    assert stations.names == ["prepare", "training", "explaining"]
    stations.write(stations.root / STATIONS["calibrating"])
    demonstration.run()
    assert stations.names == ["prepare", "training", "evaluating", "explaining", *last]


def test_settings_of_a_demonstration_go_to_every_station(script, tmp_path):
    stations = Stations(tmp_path, "chexpert_informer")
    script.Demonstration("chexpert_informer", stations).run()
    configs = [arguments[5] for arguments in stations.commands if arguments[0] == "-m"]
    assert len(configs) == 4
    assert all(files.endswith(f"{Path('bundles/chexpert_informer/configs/demo.json')}']") for files in configs)


def test_the_second_training_is_explained_beside_the_first(script, tmp_path):
    stations = Stations(tmp_path, "camelyon_attmil")
    script.Demonstration("camelyon_attmil", stations).run()
    explaining = next(arguments for arguments in stations.commands if "explaining" in arguments)
    (other,) = eval(explaining[explaining.index("--other_model_files") + 1])
    assert Path(other).is_file()
    assert Path(other) != (stations.root / "models/model.pt").resolve()


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (subprocess.CalledProcessError(3, ["python", "-m", "monai.bundle"]), 3, "ended with 3: python -m monai.bundle"),
        (KeyboardInterrupt(), 130, "The same command goes on where this one stopped"),
    ],
)
def test_a_station_that_fails_ends_the_demonstration(script, monkeypatch, capsys, error, status, said):
    def run(_):
        raise error

    @contextmanager
    def commands(_):
        yield run

    monkeypatch.setattr(script, "python_commands", commands)
    assert script.main(["leukocyte_qpi"]) == (130 if status == 130 else 1)
    printed = capsys.readouterr()
    assert said in printed.err
    assert "Reports:" not in printed.out


def test_reports_are_named_at_the_end(script, tmp_path, monkeypatch, capsys):
    @contextmanager
    def commands(folder):
        assert folder == tmp_path
        yield Stations(tmp_path, "lymphocytosis_moe")

    monkeypatch.setattr(script, "python_commands", commands)
    assert script.main(["lymphocytosis_moe"]) == 0
    assert capsys.readouterr().out.splitlines()[-2:] == [
        "Reports:",
        f"  {tmp_path / 'bundles/lymphocytosis_moe/eval/report.html'}",
    ]
    assert os.environ["OMP_WAIT_POLICY"] == "PASSIVE"
