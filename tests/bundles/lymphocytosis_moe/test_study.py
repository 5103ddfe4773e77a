"""A small study from patients to table and ensemble, and what its networks say against the networks themselves."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import expit

from shared.data.files import read_json, sha256_file
from shared.training.weights import load_weights
from tests.bundles.commands import run as run_command

PATIENTS, CELLS, SIZE = 20, 5, 32
MODELS = {
    "logistic_regression_refit": {},
    "decision_tree": {},
    "shortcut_bag_size": {},
    "spec_mil_attributes": {},
    "mlp": {},
    "cnn_mean_k32": {"width": 2},
    "avg_mean_k32": {},
    "attention_k32": {"width": 2},
    "moe_p1_k32": {"width": 2},
    "moe_p2_k32": {"width": 2},
    "moe_p3_k32": {"width": 2},
    "avg_calibrated_k32": {},
    "avg_calibrated_k32_ensemble": {},
}


@pytest.fixture(scope="module")
def load(bundle_scripts):
    return bundle_scripts("lymphocytosis_moe")


@pytest.fixture
def small_settings(load):
    settings = load("study.settings").read_settings()
    models = {}
    for name, overrides in MODELS.items():
        models[name] = dict(settings.models[name])
        if "overrides" in models[name]:
            models[name]["overrides"] = {**models[name]["overrides"], **overrides}
    return dataclasses.replace(
        settings,
        folds=2,
        validation_share=0.4,
        training={
            "max_epochs": 1,
            "image_size": SIZE,
            "field_of_view": 24,
            "chunk_size": 64,
            "batch_size": 4,
            "images_per_step": 3,
            "shift": 2,
            "val_interval": "@max_epochs",
        },
        models=models,
        stages=[{"models": list(MODELS), "repeats": [0]}],
        cell_numbers={"sizes": [1, 3], "draws": 2},
        resamples=40,
        ensemble={**settings.ensemble, "model": "moe_p1_k32"},
    )


@pytest.fixture
def features(load, monkeypatch):
    """Features without segmenting: the drawn cells are no lymphocytes."""

    def many(self, paths, workers=1, cache=None):
        return np.stack([np.random.default_rng([int(sha256_file(path)[:8], 16)]).normal(size=94) for path in paths])

    monkeypatch.setattr(load("rivals.feature_extraction").FeatureExtraction, "many", many)


@pytest.fixture
def run_small(load, small_settings, features, write_source, tmp_path, monkeypatch):
    write_source(tmp_path / "data", patients=PATIENTS, images=CELLS)
    main = load("study.main")
    read = load("study.settings").read_settings
    chosen = {"settings": small_settings}
    monkeypatch.setattr(
        main,
        "read_settings",
        lambda mode="default", repeats=None: read("full") if mode == "full" else chosen["settings"],
    )

    def run(**options):
        chosen["settings"] = dataclasses.replace(small_settings, **options.pop("settings", {}))
        assert main.run_study(tmp_path / "data", tmp_path / "out", workers=0, **options).failures == {}
        patients = load("study.patients").read_patients(tmp_path / "data", tmp_path / "out")
        return load("study.workshop").Workshop(tmp_path / "out", patients, chosen["settings"])

    return run


def test_patients_are_read_as_preparing_reads_them(load, write_source, tmp_path):
    write_source(tmp_path / "data", layout="challenge", patients=10, images=CELLS + 2, unlabelled=3)
    read = load("study.patients").read_patients
    patients = read(tmp_path / "data", tmp_path / "out")
    assert len(patients) == 10  # those without a diagnosis cannot be measured
    assert patients.labels.tolist() == [1, 0] * 5
    assert patients.attributes[:, 1].tolist() == [4.5 + number for number in range(10)]
    assert set(patients.lengths) == {CELLS + 2}
    fewer = read(tmp_path / "data", tmp_path / "out", patients=4, cells=3)
    assert (len(fewer), set(fewer.lengths), sorted(fewer.labels)) == (4, {3}, [0, 0, 1, 1])
    assert fewer.sha256 != patients.sha256 == read(tmp_path / "data", tmp_path / "other").sha256
    picture = next((tmp_path / "data" / "trainset" / "P0").iterdir())
    picture.write_bytes((tmp_path / "data" / "trainset" / "P1" / picture.name).read_bytes())
    assert read(tmp_path / "data", tmp_path / "out").sha256 != patients.sha256


def network_of(load, workshop, run):
    """Build the network anew from train.json and load the weights that the study kept."""
    overrides = load("study.network_run").training_overrides(workshop, run)
    config = load("study.settings").BUNDLE_ROOT / "configs" / "train.json"
    parser = load("ensemble").member_config(config, overrides)
    return load_weights(parser.get_parsed_content("network_def"), workshop.weights_path(run)).eval()


def logits_of(load, network, record, cells):
    bag = load("network_input").network_input(SIZE, keys=("image", "attributes"))(record)
    with torch.no_grad():
        return float(network(bag["image"][cells], torch.tensor([len(cells)]), bag["attributes"][None]))


@pytest.mark.slow
def test_from_patients_to_table_and_ensemble(load, run_small, tmp_path):
    workshop = run_small()
    runs = load("study.grid").all_runs(workshop.settings)
    assert all(workshop.is_done(run) for run in runs)
    assert not list((workshop.output / "work").rglob("*.pt"))

    Run = load("study.grid").Run
    for model in ("cnn_mean_k32", "attention_k32", "moe_p1_k32", "moe_p2_k32"):
        run = Run(model, 0, 1)
        network, result, split = network_of(load, workshop, run), workshop.result(run), workshop.split(run)
        for section in ("validation", "test"):
            records = workshop.patients.of(getattr(split, section))
            expected = [logits_of(load, network, record, np.arange(CELLS)) for record in records]
            np.testing.assert_allclose(result[f"{section}_logits"], expected, atol=2e-4)
        index = int(split.test[2])
        record = workshop.patients.records[index]
        sets = load("study.subsets").cell_sets(record, index, 0, workshop.settings)
        assert sorted(np.concatenate(sets.image_sets)) == list(range(CELLS))
        assert [len(cells) for cells in sets.fewer] == [1, 1, 3, 3]
        got = [result["image_set_logits"][2, 3], result["fewer_logits"][2, 1, 0]]
        wanted = [logits_of(load, network, record, cells) for cells in (sets.image_sets[3], sets.fewer[2])]
        np.testing.assert_allclose(got, wanted, atol=2e-4)
    attention = workshop.result(Run("attention_k32", 0, 0))["attention"]
    np.testing.assert_allclose(attention.reshape(-1, CELLS).sum(axis=1), 1, atol=1e-5)

    # P2 trains the gate only, P3 everything
    experts = torch.load(workshop.weights_path(Run("cnn_mean_k32", 0, 0)), weights_only=True)
    for model, frozen in (("moe_p2_k32", True), ("moe_p3_k32", False)):
        weights = torch.load(workshop.weights_path(Run(model, 0, 0)), weights_only=True)
        assert torch.equal(weights["image_expert.head.weight"], experts["head.weight"]) == frozen

    table = pd.read_csv(workshop.output / "table.csv")
    sections = ["Diagnosis", "Goals", "Shortcut check", "Repeatability", "Accuracy by number of cells", "Experts"]
    assert table["section"].drop_duplicates().tolist() == [*sections, "Attention weights"]
    diagnosis = table[(table["section"] == "Diagnosis") & table["value"].notna()]
    assert set(diagnosis["model"]) == {m["title"] for m in workshop.settings.models.values()} - {
        "number of images alone"
    }
    assert (diagnosis["n"] == PATIENTS).all()
    held = load("study.held_out").held_out(workshop, "decision_tree", [0])
    accuracy = ((held.after[0] > 0.5) == workshop.patients.labels).mean()
    row = diagnosis[(diagnosis["model"] == "decision tree") & (diagnosis["measure"] == "accuracy")].iloc[0]
    assert row["value"] == pytest.approx(accuracy)
    assert row["published"] == 0.6905
    text = (workshop.output / "table.md").read_text(encoding="utf-8")
    assert "another test set of 42 patients" in text
    assert "Not in this study" in text
    assert "trained in float32" in text

    check_ensemble(load, workshop, runs, tmp_path)
    check_members(load, run_small, tmp_path)


def check_member_is_explained(load, workshop, folder, tmp_path):
    """Explain with one network, of a smaller field of view than the image, by the command, on real files."""
    configs, output = load("study.settings").BUNDLE_ROOT / "configs", tmp_path / "explained"
    names = [str(configs / "inference.json"), str(configs / "explain.json"), str(folder / "network.json")]
    command = ["-m", "monai.bundle", "run", "explaining", "--config_file", str(names)]
    command += ["--ckpt_dir", str(folder), "--output_dir", str(output), "--dataset_dir", str(tmp_path / "prepared")]
    source = [str(configs.parents[2] / "scripts" / "prepare.py"), "lymphocytosis_moe"]
    source += ["--source", str(tmp_path / "data"), "--output", str(tmp_path / "prepared")]
    for arguments in (source, command):
        run_command(arguments, tmp_path)
    index = read_json(output / "explanations" / "index.json")
    assert index["provenance"]["weights"]
    run = load("study.grid").Run("avg_calibrated_k32", 0, 0)
    network = network_of_member(load, folder)
    record = workshop.patients.of(workshop.split(run).test)[0]
    expected = workshop.result(run)["test_logits"][0]
    assert logits_of(load, network, record, np.arange(CELLS)) == pytest.approx(expected, abs=2e-4)


def network_of_member(load, folder):
    configs = load("study.settings").BUNDLE_ROOT / "configs"
    parser = load("ensemble").member_config(configs / "inference.json", read_json(folder / "network.json"))
    return load_weights(parser.get_parsed_content("network_def"), folder / "model.pt").eval()


def check_members(load, run_small, tmp_path):
    """The kept ensemble's members, those of one fold together, say of its held-out patients what the study says."""
    model = "avg_calibrated_k32_ensemble"
    settings = load("study.settings").read_settings()
    workshop = run_small(table_only=True, settings={"ensemble": {**settings.ensemble, "model": model}})
    folder = workshop.output / "ensemble"
    members = read_json(folder / "ensemble.json")["members"]
    assert [(m["fold"], m["member"]) for m in members] == [(fold, member) for fold in (1, 2) for member in (1, 2, 3)]
    ensemble = load("ensemble").read_ensemble(folder, load("study.settings").BUNDLE_ROOT / "configs" / "inference.json")
    load_weights(ensemble, folder / "model.pt").eval()
    check_member_is_explained(load, workshop, folder / "member", tmp_path)
    for fold in range(2):
        run = load("study.grid").Run(model, 0, fold)
        kept = range(3 * fold, 3 * fold + 3)
        for row, record in enumerate(workshop.patients.of(workshop.split(run).test)):
            cells = np.arange(CELLS)
            logits = np.array([logits_of(load, ensemble.members[place], record, cells) for place in kept])
            expected = expit(logits / [members[place]["temperature"] for place in kept]).mean()
            assert expit(workshop.result(run)["test_logits"][row]) == pytest.approx(expected, abs=1e-4)


def check_ensemble(load, workshop, runs, tmp_path):
    """Infer with it by the command, and compare with the members' calibrated probabilities by hand."""
    folder = workshop.output / "ensemble"
    manifest = read_json(folder / "ensemble.json")
    members = [run for run in runs if run.model == "moe_p1_k32"]
    assert [(m["repeat"], m["fold"]) for m in manifest["members"]] == [(1, 1), (1, 2)]
    configs = load("study.settings").BUNDLE_ROOT / "configs"
    command = ["-m", "monai.bundle", "run", "inferring", "--config_file"]
    command += [str([str(configs / "inference.json"), str(configs / "ensemble.json")])]
    command += [
        "--ckpt_dir",
        str(folder),
        "--dataset_dir",
        str(tmp_path / "data"),
        "--output_dir",
        str(tmp_path / "inferred"),
    ]
    run_command(command, tmp_path)
    rows = pd.read_csv(tmp_path / "inferred" / "predictions.csv").set_index("id")
    assert len(rows) == PATIENTS
    networks = [network_of(load, workshop, run) for run in members]
    temperatures = [member["temperature"] for member in manifest["members"]]
    for record in workshop.patients.records[:4]:
        logits = [logits_of(load, network, record, np.arange(CELLS)) for network in networks]
        expected = np.mean([expit(z / t) for z, t in zip(logits, temperatures, strict=True)])
        assert rows.loc[record["id"], "probability_tumoral"] == pytest.approx(expected, abs=1e-4)
        assert 0 < rows.loc[record["id"], "gate"] < 1
    calibration = read_json(folder / "calibration.json")
    held = load("study.held_out").held_out(workshop, "moe_p1_k32", [0])
    right = (held.after[0] > 0.5) == workshop.patients.labels
    if calibration["confidence"]["reached"]:
        accepted = np.abs(2 * held.after[0] - 1) >= calibration["confidence"]["accept"]
        assert 1 - right[accepted].mean() <= 0.05 + 1e-9
    assert calibration["temperature"]["value"] == 1
    assert "the single member" in calibration["confidence"]["fitted_on"]
    outlier = calibration["outlier"]
    assert (outlier["n_training"], outlier["n_validation"]) == (PATIENTS, 0)
    assert outlier["split"].startswith("all patients")


@pytest.mark.slow
def test_it_resumes_and_a_lost_fold_takes_its_repeat_out_of_the_row(load, run_small):
    quick = ["logistic_regression_refit", "decision_tree", "mlp"]
    stages = {"settings": {"stages": [{"models": quick, "repeats": [0, 1]}]}}
    workshop = run_small(**stages)
    runs = load("study.grid").all_runs(workshop.settings)
    written = {run: workshop.result_path(run).stat().st_mtime_ns for run in runs}
    lost = load("study.grid").Run("decision_tree", 1, 0)
    workshop.result_path(lost).unlink()
    run_small(**stages, table_only=True)
    table = pd.read_csv(workshop.output / "table.csv")
    repeats = table[(table["section"] == "Diagnosis") & (table["measure"] == "accuracy")].set_index("model")["repeats"]
    assert repeats["decision tree"] == 1
    assert repeats["MLP"] == 2
    assert "decision tree, repeat 2: 1 of 2 folds" in (workshop.output / "table.md").read_text(encoding="utf-8")
    run_small(**stages)
    again = {run: workshop.result_path(run).stat().st_mtime_ns for run in runs}
    assert [run for run in runs if again[run] != written[run]] == [lost]
    assert read_json(workshop.output / "failures.json") == {}


def test_the_ensemble_is_chosen_on_validation_patients(load, small_settings):
    HeldOut, best = load("study.held_out").HeldOut, load("study.keep_ensemble").best_model
    rows = np.zeros((1, 4))

    def held(*losses):
        return HeldOut(tuple(range(len(losses))), rows, rows, rows > 0, rows[0], np.array(losses))

    found = {"decision_tree": held(0.1), "mlp": held(0.2), "cnn_mean_k32": held(0.4), "avg_mean_k32": held(0.3)}
    free = dataclasses.replace(small_settings, ensemble={**small_settings.ensemble, "model": None})
    # neither rivals nor a network that looks at no cell
    assert best(free, found) == "avg_mean_k32"
    assert best(small_settings, found) is None  # the named one is not done
    assert best(small_settings, {**found, "moe_p1_k32": held(0.9)}) == "moe_p1_k32"
    # an ensemble is chosen by the model that it is an ensemble of
    both = {**found, "avg_calibrated_k32": held(0.2), "avg_calibrated_k32_ensemble": held(0.9)}
    assert best(free, both) == "avg_calibrated_k32_ensemble"
    assert best(free, {**found, "avg_calibrated_k32_ensemble": held(0.0)}) == "avg_mean_k32"
    # what one network did in a repeat that others have not done says nothing beside them
    assert best(free, {**found, "avg_mean_k32": held(0.3, 0.9)}) == "avg_mean_k32"
    overrides = load("study.keep_ensemble").network_overrides(free, "avg_mean_k32")
    assert overrides == {
        "image_size": SIZE,
        "field_of_view": 24,
        "network_name": "AveragedClassifier",
        "width": 2,
        "pooling": "mean",
    }


def test_the_command_lists_both_studies_and_names_what_is_missing(repository, tmp_path):
    command = [str(repository / "scripts" / "reproduce.py")]
    listed = run_command([*command, "--help"], tmp_path).stdout
    assert "leukocyte_qpi:" in listed
    assert "lymphocytosis_moe:" in listed
    command += ["lymphocytosis_moe", "--data", str(tmp_path), "--output", str(tmp_path / "out")]
    result = run_command(command, tmp_path, check=False)
    assert result.returncode == 1
    assert "clinical.csv" in result.stderr
    assert "Traceback" not in result.stderr


def test_study_json_is_read_by_people(load):
    """A model's key says what it is: the same width, pooling and paradigm as its overrides."""
    content = json.loads((load("study.settings").BUNDLE_ROOT / "configs" / "study.json").read_text())
    for name, model in content["default"]["models"].items():
        overrides = model.get("overrides", {})
        if "width" in overrides:
            assert f"_k{overrides['width']}" in name
            assert f"K = {overrides['width']}" in model["title"]
        if "paradigm" in overrides:
            assert f"_{overrides['paradigm'].lower()}_" in name
            assert model["weights_from"]["image_expert_file"] == f"cnn_mean_k{overrides['width']}"
        if model["kind"] == "average":
            assert model["of"] == [name.replace("avg_calibrated", "avg_mean").replace("avg", "cnn"), "mlp"]
        if model["kind"] == "ensemble":
            assert f"{model['of']}_ensemble" == name
            assert f"ensemble of {model['members']}" in model["title"]
