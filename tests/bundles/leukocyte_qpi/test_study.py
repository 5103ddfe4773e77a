"""The study as a whole: resuming, failures, what is left out, and a small one from end to end."""

from __future__ import annotations

import dataclasses
import json
import operator
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

CLASSES = ("monocyte", "lymphocyte", "neutrophil", "eosinophil")


@pytest.fixture(scope="module")
def study(bundle_scripts):
    load = bundle_scripts("leukocyte_qpi")
    return lambda name: load(f"study.{name}")


@pytest.fixture
def cells(study):
    """Eighty cells, each class with a square in another corner, from two sources of different brightness."""
    rng = np.random.default_rng(0)
    labels = np.tile(np.arange(4), 20)
    sources = np.repeat(["a", "b"], 40)
    phase = rng.random((80, 50, 50)).astype(np.float32)
    for image, label in zip(phase, labels, strict=True):
        y, x = divmod(int(label), 2)
        image[25 * y : 25 * y + 20, 25 * x : 25 * x + 20] += 3
    phase[40:] *= 1.3
    return study("stand_in").Cells(np.array([f"c{i}" for i in range(80)]), phase, labels, sources, CLASSES)


@pytest.fixture
def workshop(study, cells, tmp_path):
    settings = study("settings").read_settings("quick")
    settings = dataclasses.replace(
        settings,
        networks={"LeNet5": {"learning_rate": 0.003, "batch_size": 32, "max_epochs": 2, "patience": 2}},
        dropout_rates=[0.5],
        monte_carlo_samples=5,
        perturbations={"background": ["none"], "offset_px": [2], "blur_px": [1.0], "intensity": [0.9]}
        | {"random_sign": [0.1], "fgsm": [0.1], "pgd": [0.1]},
        pgd_steps=2,
        explanations={
            "crops": {"training": 16, "validation": 8, "test": 4},
            "methods": {
                name: method
                for name, method in settings.explanations["methods"].items()
                if method["_target_"].endswith(("InputXGradient", "RandomMap"))
            },
        },
        resamples=50,
    )
    return study("workshop").Workshop(tmp_path, cells, "0" * 64, settings, (0.0, 1.0))


@pytest.fixture
def pretend(study):
    return lambda workshop, run: pretended(study("workshop").recipe, workshop, run)


def pretended(recipe, workshop, run):
    """Write a result as a run would, without training."""
    if run.part == "fold2" and run.network == "LeNet5":
        raise MemoryError("not enough")
    path = workshop.result_path(run)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, facts=np.array(json.dumps({"recipe": recipe(workshop, run)})))


def test_failures_are_recorded_and_the_rest_goes_on(study, workshop, pretend):
    runs = study("grid").all_runs(workshop.settings, ["a", "b"])
    failures = study("pool").do_runs(workshop, runs, workers=0, action=pretend)
    assert {key.rpartition("_")[2] for key in failures} == {"fold2"}
    assert all("not enough" in text for text in failures.values())
    written = study("settings").read_json(workshop.output / "failures.json")
    assert written == failures
    is_done = study("pool").is_done
    assert all(is_done(workshop, run) == (run.key not in failures) for run in runs)


def test_a_process_is_renewed_after_some_runs(study):
    with study("pool").RenewedWorker(tasks=2) as worker:
        processes = [worker.submit(os.getpid).result() for _ in range(3)]
    assert processes[0] == processes[1] != processes[2]
    assert os.getpid() not in processes


def test_processes_do_every_run_and_tell_of_failures(study, workshop):
    runs = study("grid").all_runs(workshop.settings, ["a", "b"])
    # a workshop has no items: every run fails, in a process that can import what it is to do
    failures = study("pool").do_runs(workshop, runs, workers=2, action=operator.getitem)
    assert set(failures) == {run.key for run in runs}
    assert all("is not subscriptable" in text for text in failures.values())


def test_a_second_call_does_only_what_is_left(study, workshop, pretend):
    runs = [run for run in study("grid").all_runs(workshop.settings, ["a", "b"]) if run.part != "fold2"]
    do_runs = study("pool").do_runs
    do_runs(workshop, runs[2:], workers=0, action=pretend)
    again = []
    do_runs(workshop, runs, workers=0, action=lambda _, run: again.append(run))
    assert again == runs[:2]
    slower = dict(workshop.settings.networks["LeNet5"]) | {"learning_rate": 0.1}
    changed = dataclasses.replace(
        workshop, settings=dataclasses.replace(workshop.settings, networks={"LeNet5": slower})
    )
    again.clear()
    do_runs(changed, runs, workers=0, action=lambda _, run: again.append(run))
    assert set(again) == {run for run in runs if run.network == "LeNet5"} | set(runs[:2])


def test_the_study_shows_networks_what_the_bundle_does(study, bundle_scripts, workshop):
    """Not a pixel may differ between what is trained on, through files, and what is tested on, from memory."""
    metadata = study("training").bundle_metadata()
    phase_range = metadata["preprocessing"]["phase_range_rad"]
    study("stand_in").write_crops(workshop.crops, workshop.cells)
    from_files = bundle_scripts("leukocyte_qpi")("network_input").network_input(phase_range)
    records = [{"image": str(workshop.crops / f"{name}.npy"), "label": 0} for name in workshop.cells.ids]
    phase = study("stand_in").subtract_level(workshop.cells.phase)
    images = study("inference").normalised(phase, tuple(phase_range))
    assert images.max() > 1  # a clipped image would go unnoticed otherwise
    for image, record in zip(images, records, strict=True):
        np.testing.assert_array_equal(image, from_files(record)["image"])


def test_no_two_runs_share_a_result(study):
    for mode in ("default", "quick", "full"):
        runs = study("grid").all_runs(study("settings").read_settings(mode), ["a", "b"])
        assert len({run.key for run in runs}) == len(runs)


def test_the_default_study_has_what_it_promises(study):
    settings = study("settings").read_settings()
    runs = study("grid").all_runs(settings, ["a", "b"])
    main = {(run.network, run.dropout, run.seed) for run in runs if run.experiment == "cross_validation"}
    for network in ("LeNet5", "AlexNet"):
        for dropout in (0.0, 0.25, 0.5):
            assert sum(key[:2] == (network, dropout) for key in main) >= 3
    assert settings.monte_carlo_samples == 100
    assert {run.label_noise for run in runs} == {0.0, 0.1, 0.2}
    noisy = {(run.network, run.seed) for run in runs if run.experiment == "wrong_labels"}
    assert noisy == {("LeNet5", 0), ("LeNet5", 1), ("LeNet5", 2), ("AlexNet", 0)}  # as further_seeds says
    assert study("settings").read_settings(n_seeds=5).seeds == [0, 1, 2, 3, 4]


@pytest.mark.slow
def test_from_cells_to_table(study, workshop):
    """Two networks' worth of runs would add nothing: LeNet-5 at one rate goes through every experiment."""
    study("stand_in").write_crops(workshop.crops, workshop.cells)
    runs = study("grid").all_runs(workshop.settings, ["a", "b"])
    assert study("pool").do_runs(workshop, runs, workers=0) == {}
    assert not (workshop.output / "work").exists() or not list((workshop.output / "work").rglob("*.pt"))
    for path in study("page").write_table(workshop, runs):
        assert path.is_file()
    table = pd.read_csv(workshop.output / "table.csv")
    assert table["section"].nunique() == 6
    numbers = table[table["value"].notna()]
    assert (numbers["low"] <= numbers["high"]).all()
    assert (numbers["seeds"] == 1).all()
    crossed = numbers[(numbers["section"] == "Cross-validation") & (numbers["measure"] == "accuracy")]
    assert (crossed["n"] == 80).all()
    # squares in four corners are easy for a linear model
    assert crossed.set_index("network")["value"]["logistic regression"] > 0.9
    page = (workshop.output / "table.html").read_text(encoding="utf-8")
    assert "stand-in" in page
    assert "Left out" not in page

    # a lost part takes its seed out of the row, and the page says so
    lost = next(run for run in runs if run.network == "LeNet5" and run.part == "fold1" and run.label_noise == 0)
    workshop.result_path(lost).unlink()
    study("page").write_table(workshop, runs)
    table = pd.read_csv(workshop.output / "table.csv")
    left = table[(table["section"] == "Cross-validation") & table["value"].notna()]
    assert set(left["network"]) == {"logistic regression"}
    assert "1 of 2 parts" in (workshop.output / "table.md").read_text(encoding="utf-8")


def test_the_command_names_what_is_missing(repository, tmp_path):
    command = [sys.executable, str(repository / "scripts" / "reproduce.py"), "leukocyte_qpi", "--data", str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert result.returncode == 1
    assert "wbc_crops.npz" in result.stderr
    assert "Traceback" not in result.stderr
