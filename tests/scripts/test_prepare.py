"""The command as a person types it: in its own process from another folder, or, where that says no more, called."""

from __future__ import annotations

import importlib.util
import json

import pytest

from shared.data.datalist import load_section
from tests.warm import run_warm


@pytest.fixture
def prepare(repository, tmp_path):
    def run(*arguments):
        return run_warm([str(repository / "scripts" / "prepare.py"), *arguments], tmp_path)

    return run


def test_help_names_the_bundles_and_how_to_override(prepare):
    result = prepare("--help")
    assert result.returncode == 0
    for text in (
        "leukocyte_qpi",
        "lymphocytosis_moe",
        "--phantom",
        "--source",
        "--overwrite",
        "--segmentation#threshold_rad",
    ):
        assert text in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nobody", "--phantom"), "unknown bundle 'nobody'; known are: "),
        (("leukocyte_qpi",), "one of the arguments --source --phantom is required"),
        (("leukocyte_qpi", "--source", "x", "--variant", "shortcut"), "--variant is for --phantom only"),
        (("camelyon_attmil", "--phantom", "--preflight"), "--preflight is for --source only"),
        (("leukocyte_qpi", "--source", "x", "--preflight"), "no 'preflight'; prepare the data at once"),
        (("leukocyte_qpi", "--phantom", "--workers"), "expected --key value, found '--workers'"),
    ],
)
def test_wrong_arguments(prepare, arguments, message):
    result = prepare(*arguments)
    assert result.returncode == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr


@pytest.fixture
def main(repository, bundle_scripts):
    """The command's function; the fixture of the bundle's modules takes its changes of the module path back."""
    bundle_scripts("leukocyte_qpi")
    spec = importlib.util.spec_from_file_location("prepare_command", repository / "scripts" / "prepare.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return lambda *arguments: module.main([str(argument) for argument in arguments])


def test_wrong_data_is_answered_in_one_line(main, tmp_path, capsys):
    assert main("leukocyte_qpi", "--source", tmp_path / "gone", "--output", tmp_path / "data") == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert len(error) == 1
    assert error[0].startswith(f"error: {tmp_path / 'gone'}: no such folder")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (("--crop_sizes", "40"), "has no key 'crop_sizes'; did you mean 'crop_size'"),
        (("--background#method", "mean"), "background method must be auto, median or polynomial, found 'mean'"),
        (("--donor_pattern", "^D"), "needs a group (?P<donor>"),
        (("--optics#wavelength_nm=-1",), "wavelength_nm must be a positive number, found -1"),
        (("--seed", "-1"), "error: seed: found -1, expected a whole number of at least 0"),
    ],
)
def test_wrong_overrides(main, tmp_path, capsys, override, message):
    assert main("leukocyte_qpi", "--source", tmp_path, "--output", tmp_path / "data", *override) == 2
    assert message in capsys.readouterr().err


@pytest.mark.slow
def test_phantoms_are_generated_prepared_and_reused(prepare, tmp_path):
    command = [
        *("leukocyte_qpi", "--phantom", "--variant", "shortcut", "--seed", "3", "--output", tmp_path / "data"),
        *("--phantom#donors", "3", "--phantom#frames_per_recording", "2", "--phantom#outlier_frames=1"),
        *("--max_cells_per_recording", "4", "--fractions", '{"training": 0.4, "validation": 0.3, "test": 0.3}'),
    ]
    result = prepare(*command)
    assert result.returncode == 0, result.stderr
    assert "monocyte" in result.stdout
    datalist = tmp_path / "data" / "datalist.json"
    training, outlier = load_section(datalist, "training"), load_section(datalist, "outlier")
    assert {record["label"] for record in training} == {0, 1, 2, 3}
    assert len(training) <= 4 * 4
    assert {record["kind"] for record in outlier} == {"thrombocyte", "aggregate", "defocused", "ruptured", "empty"}
    assert json.loads((tmp_path / "data" / "recordings" / "generated.json").read_text())["parameters"]["seed"] == 3

    before = datalist.read_bytes()
    again = prepare(*command)
    assert again.returncode == 0
    assert "complete, reused" in again.stdout
    assert datalist.read_bytes() == before

    processes = prepare(*command, "--workers", "1")
    assert processes.returncode == 0
    assert "complete, reused" in processes.stdout

    other = prepare(*command, "--phantom#cells_per_frame", "5")
    assert other.returncode == 2
    assert "cells_per_frame 9 → 5" in other.stderr


def test_patients_of_phantom_smears_are_prepared_and_reused(prepare, tmp_path):
    command = [
        *("lymphocytosis_moe", "--phantom", "--variant", "shortcut", "--seed", "3", "--output", tmp_path / "data"),
        *("--phantom#patients", "16", "--phantom#image_size", "32", "--phantom#bag_size"),
        '{"mean": 6, "std": 1, "low": 5, "high": 8}',
    ]
    result = prepare(*command)
    assert result.returncode == 0, result.stderr
    assert "tumoral" in result.stdout
    assert "left out: nothing" in result.stdout
    datalist = tmp_path / "data" / "datalist.json"
    records = [record for name in ("training", "validation", "test") for record in load_section(datalist, name)]
    assert len(records) == 16
    assert all(path.startswith(str(tmp_path / "data" / "smears" / "images")) for path in records[0]["image"])
    assert json.loads((tmp_path / "data" / "smears" / "generated.json").read_text())["parameters"]["seed"] == 3

    before = datalist.read_bytes()
    again = prepare(*command, "--workers", "1")
    assert again.returncode == 0
    assert "complete, reused" in again.stdout
    assert datalist.read_bytes() == before
