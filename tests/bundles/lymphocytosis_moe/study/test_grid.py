"""The order of the runs, and the settings they come from."""

from __future__ import annotations

import json

import pytest

from shared.data.errors import DataError
from shared.data.files import read_json


def test_what_a_run_needs_comes_before_it_and_nothing_twice(study):
    for mode in ("default", "quick", "full"):
        settings = study("settings").read_settings(mode)
        runs = study("grid").all_runs(settings)
        assert len({run.key for run in runs}) == len(runs)
        place = {run: number for number, run in enumerate(runs)}
        for run in runs:
            assert all(place[needed] < place[run] for needed in study("grid").required_runs(settings, run))


def test_the_default_study_has_what_it_promises_in_its_order(study):
    settings = study("settings").read_settings()
    runs = study("grid").all_runs(settings)
    first = {}
    for number, run in enumerate(runs):
        first.setdefault((run.model, run.repeat), number)
    order = ["logistic_regression", "spec_mil", "cnn_mean_k32", "moe_p1_k32", "moe_p1_k32_ensemble", "attention_k32"]
    order += ["moe_p2_k32", "moe_p3_k32", "cnn_mean_k64"]
    places = [first[name, 0] for name in order]
    assert places == sorted(places)
    assert first["attention_k32", 0] < first["cnn_mean_k32", 1] < first["moe_p1_k32", 1] < first["cnn_mean_k64", 0]
    for kind in ("attributes", "classical", "shortcut"):
        names = [name for name, repeat in first if repeat == 0 and settings.models[name]["kind"] == kind]
        assert all((name, repeat) in first for name in names for repeat in range(3))
    assert settings.folds == 5
    assert settings.image_sets == 5
    for kind, number in (("attributes", 9), ("classical", 8), ("shortcut", 3)):
        assert sum(settings.models[name]["kind"] == kind for name, repeat in first if repeat == 0) == number
    full = {run.model for run in study("grid").all_runs(study("settings").read_settings("full"))}
    assert full == set(settings.models)
    assert {run.repeat for run in study("grid").all_runs(study("settings").read_settings(repeats=1))} == {0}


def test_the_default_study_ends_in_its_time_on_two_cores(study):
    settings = study("settings").read_settings()
    expected = sum(settings.models[run.model]["minutes"] for run in study("grid").all_runs(settings))
    features = 10_233 * 0.04 / 60  # seconds that the features of a cell take, once
    assert settings.hours == 3
    assert (expected + features) / 2 <= 60 * settings.hours
    # nor can a last run, started just before its turn, take it far beyond
    assert max(settings.models[run.model]["minutes"] for run in study("grid").all_runs(settings)) <= 20


def test_a_mixture_starts_from_the_experts_of_its_own_fold(study, workshop):
    overrides = study("network_run").training_overrides(workshop, study("grid").Run("moe_p3_k32", 2, 1))
    assert overrides["paradigm"] == "P3"
    assert overrides["seed"] == 2
    assert overrides["image_expert_file"].endswith("weights/cnn_mean_k32/repeat3_fold2.pt")
    assert overrides["attribute_expert_file"].endswith("weights/mlp/repeat3_fold2.pt")


def test_settings_that_do_not_fit_are_named(study, tmp_path):
    read, content = study("settings").read_settings, read_json(study("settings").BUNDLE_ROOT / "configs" / "study.json")

    def refused(match, **changed):
        file = tmp_path / "study.json"
        file.write_text(json.dumps({"default": {**content["default"], **changed}}))
        with pytest.raises(DataError, match=match):
            read(path=file)

    models = content["default"]["models"]
    refused("reference names the model 'x'", reference="x")
    refused("'mlp' is 'net', expected one of", models={**models, "mlp": {**models["mlp"], "kind": "net"}})
    refused("'mlp' has or lacks colour", models={**models, "mlp": {**models["mlp"], "colour": 1}})
    refused("unexpected keyword argument 'speed'", speed=3)
