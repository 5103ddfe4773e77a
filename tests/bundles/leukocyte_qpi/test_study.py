"""The study as a whole: what is reused, what is left out, and a small one from end to end."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest

from shared.data.files import read_json
from tests.bundles.commands import run as run_command

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


def test_a_result_is_reused_only_if_it_was_made_alike(study, workshop):
    runs = study("grid").all_runs(workshop.settings, ["a", "b"])
    for run in runs[1:]:
        workshop.write_result(run, {}, {}, seconds=1.0)
    assert [run for run in runs if not workshop.is_done(run)] == runs[:1]

    def left(**changed):
        other = dataclasses.replace(workshop, settings=dataclasses.replace(workshop.settings, **changed))
        return {run for run in runs[1:] if not other.is_done(run)}

    slower = {"LeNet5": {**workshop.settings.networks["LeNet5"], "learning_rate": 0.1}}
    assert left(networks=slower) == {run for run in runs if run.network == "LeNet5"}
    assert left(pgd_steps=3) == {run for run in runs if run.perturbed}
    explained = {run for run in runs if run.experiment == "explanations"}
    assert left(black_rad=5.0) == set(runs[1:]) - explained
    assert left(explanations={}) == explained
    assert left(resamples=3, n_bins=5) == set()


def test_the_recipe_of_a_run_says_what_its_result_depends_on_and_no_more(study, workshop):
    """A word more or less and all results that are kept would count for nothing."""
    run = study("grid").Run("cross_validation", "LeNet5", 0.5, 1, "fold2", perturbed=True)
    recipe = json.loads(workshop.recipe(run))
    assert workshop.recipe(run) == json.dumps(recipe, sort_keys=True)
    assert len(recipe.pop("training")) == 64
    settings = ("validation_share", "folds", "monte_carlo_samples", "perturbations", "pgd_steps", "black_rad")
    assert recipe == {
        "run": {
            "experiment": "cross_validation",
            "network": "LeNet5",
            "dropout": 0.5,
            "seed": 1,
            "part": "fold2",
            "label_noise": 0.0,
            "perturbed": True,
        },
        "network": {"learning_rate": 0.003, "batch_size": 32, "max_epochs": 2, "patience": 2},
        "settings": {name: getattr(workshop.settings, name) for name in settings},
        "phase_range": [0.0, 1.0],
        "data": "0" * 64,
    }


def test_classes_and_sources_are_in_every_fold_alike(study, workshop):
    runs = study("grid").all_runs(workshop.settings, ["a", "b"])
    cells = workshop.cells
    for run in runs:
        if run.experiment == "explanations":
            continue
        split = workshop.split(run)
        np.testing.assert_array_equal(np.sort(np.concatenate(split)), np.arange(len(cells)))
        if run.experiment == "leave_one_source_out":
            assert set(cells.sources[split.test]) == {run.part}
            assert run.part not in cells.sources[np.concatenate([split.training, split.validation])]
        else:
            assert all((cells.strata[split.test] == name).sum() == 5 for name in np.unique(cells.strata))


def test_the_study_shows_networks_what_the_bundle_does(study, bundle_scripts, workshop):
    """Not a pixel may differ between what is trained on, through files, and what is tested on, from memory."""
    metadata = read_json(study("settings").BUNDLE_ROOT / "configs" / "metadata.json")
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
def test_from_cells_to_table(study, cells, workshop, tmp_path, monkeypatch):
    """Two networks' worth of runs would add nothing: LeNet-5 at one rate goes through every experiment."""
    main = study("main")
    monkeypatch.setattr(main, "read_settings", lambda mode, seeds: workshop.settings)
    monkeypatch.setattr(main, "read_cells", lambda data, classes, peak: cells)
    (tmp_path / "wbc_crops.npz").write_bytes(b"")
    outcome = main.run_study(tmp_path, tmp_path / "out", workers=0)
    assert outcome.failures == {}
    assert all(path.is_file() for path in outcome.written)
    assert not list((tmp_path / "out" / "work").rglob("*.pt"))
    table = pd.read_csv(tmp_path / "out" / "table.csv")
    assert table["section"].nunique() == 6
    numbers = table[table["value"].notna()]
    assert (numbers["low"] <= numbers["high"]).all()
    assert (numbers["repeats"] == 1).all()
    crossed = numbers[(numbers["section"] == "Cross-validation") & (numbers["measure"] == "accuracy")]
    assert (crossed["n"] == 80).all()
    # squares in four corners are easy for a linear model
    assert crossed.set_index("network")["value"]["logistic regression"] > 0.9
    page = (tmp_path / "out" / "table.html").read_text(encoding="utf-8")
    assert "stand-in" in page
    assert "Left out" not in page

    # a lost part takes its seed out of the row, and the page says so
    runs = study("grid").all_runs(workshop.settings, ["a", "b"])
    lost = next(run for run in runs if run.network == "LeNet5" and run.part == "fold1" and run.label_noise == 0)
    (tmp_path / "out" / "runs" / f"{lost.key}.npz").unlink()
    main.run_study(tmp_path, tmp_path / "out", table_only=True)
    table = pd.read_csv(tmp_path / "out" / "table.csv")
    left = table[(table["section"] == "Cross-validation") & table["value"].notna()]
    assert set(left["network"]) == {"logistic regression"}
    text = (tmp_path / "out" / "table.md").read_text(encoding="utf-8")
    assert f"1 of {len(runs)} runs have no result" in text
    assert "1 of 2 parts" in text


def test_the_command_names_what_is_missing(repository, tmp_path):
    command = [str(repository / "scripts" / "reproduce.py"), "leukocyte_qpi", "--data", str(tmp_path)]
    result = run_command(command, tmp_path, check=False)
    assert result.returncode == 1
    assert "wbc_crops.npz" in result.stderr
    assert "Traceback" not in result.stderr
