"""What the study's page says of goals, of repeatability and of the epochs that were chosen."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

LABELS = np.repeat([0, 1], [20, 40])


@pytest.fixture(scope="module")
def study(bundle_scripts):
    load = bundle_scripts("lymphocytosis_moe")
    return lambda name: load(f"study.{name}")


@pytest.fixture(scope="module")
def settings(study):
    return study("settings").read_settings()


@pytest.fixture(scope="module")
def meter(study):
    return study("measures").Meter(LABELS, n_bins=5, resamples=200)


def held(study, probabilities, **more):
    rows = np.asarray(probabilities, dtype=float)[None]
    extra = {name: np.asarray(values, dtype=float)[None] for name, values in more.items()}
    return study("held_out").HeldOut((0,), rows, rows, rows > 0.5, np.ones(1), np.array([0.5]), extra)


def wrong_for(count):
    """Probabilities of tumoral that are wrong for so many of the reactive patients, and right for all others."""
    probabilities = np.where(LABELS == 1, 0.9, 0.1)
    probabilities[:count] = 0.9
    return probabilities


@pytest.mark.parametrize(("wrong", "verdict"), [(0, "met: 1.000"), (19, "missed: 0.525")])
def test_a_goal_is_met_or_missed(study, settings, meter, wrong, verdict):
    section = study("diagnoses").goal_section(settings, meter, {"cnn_mean_k32": held(study, wrong_for(wrong))})
    (row,) = section.rows
    assert row.cells["verdict"] == verdict


def test_a_goal_within_the_interval_is_said_to_be(study, settings, meter):
    found = {"moe_p1_k32_ensemble": held(study, wrong_for(4))}  # balanced accuracy 0.9, of 20 reactive patients
    verdicts = {
        row.names["goal"]: row.cells["verdict"] for row in study("diagnoses").goal_section(settings, meter, found).rows
    }
    assert verdicts["balanced accuracy ≥ 0.88"] == "met: 0.900, the goal is within the interval"
    assert verdicts["ROC AUC ≥ 0.96"] == "missed: 0.900, the goal is within the interval"


@pytest.mark.parametrize(("model", "before"), [("cnn_mean_k32", True), ("cnn_mean_k32_ensemble", False),
                                               ("avg_mean_k32", True), ("avg_calibrated_k32", False)])  # fmt: skip
def test_no_error_before_calibration_where_the_parts_were_calibrated(study, settings, meter, model, before):
    section = study("diagnoses").diagnosis_section(settings, meter, {model: held(study, wrong_for(3))})
    assert ("ECE before" in section.rows[0].cells) == before
    assert "ECE after" in section.rows[0].cells


def test_agreement_is_compared_with_its_like_and_judged_by_the_interval(study, settings, meter, workshop):
    steady = np.repeat(wrong_for(0)[:, None], 5, axis=1)
    every, half, few = steady.copy(), steady.copy(), steady.copy()
    every[:, 0] = 1 - every[:, 0]  # one of five sets disagrees in every patient
    half[::2, 0] = 1 - half[::2, 0]
    few[:1, 0] = 1 - few[:1, 0]
    found = {
        "cnn_mean_k32": held(study, wrong_for(0), image_sets=every),
        "moe_p1_k32": held(study, wrong_for(0), image_sets=half),
        "cnn_mean_k32_ensemble": held(study, wrong_for(0), image_sets=few),
        "moe_p1_k32_ensemble": held(study, wrong_for(0), image_sets=steady),
        "spec_mil_attributes": held(study, wrong_for(0), image_sets=steady),
    }
    rows = study("further_sections").repeatability_section(workshop, meter, found).rows
    goals = [row.cells.get("goal: fewer disagreements") for row in rows]
    assert goals[0] is None
    assert goals[1] == "met: -0.500"
    assert goals[2] is None
    # to the ensemble of the CNN, in which one of 60 patients disagrees
    assert goals[3] == "open: -0.017, the interval includes no change"
    assert rows[3].cells["difference of the first"].value == pytest.approx(-1 / 60)
    assert goals[4] is None  # no network


@pytest.fixture
def workshop(study, settings, tmp_path):
    records = [{"id": f"P{i}", "label": int(label), "image": ["x"] * 8} for i, label in enumerate(LABELS)]
    patients = study("patients").Patients(records, ("reactive", "tumoral"), "0" * 64)
    return study("workshop").Workshop(tmp_path, patients, dataclasses.replace(settings, folds=2))


def test_epochs_are_told_apart_by_whether_there_was_a_choice(study):
    Run, epochs = study("grid").Run, study("table")._epochs
    last = {Run("cnn_mean_k32", 0, fold): {"best_epoch": 60, "epochs": 60} for fold in range(3)}
    # one of them ended in the last epoch too, by choice
    chosen = {Run("moe_p1_k32", 0, fold): {"best_epoch": best, "epochs": 60} for fold, best in enumerate((10, 60, 30))}
    assert epochs({}) == []
    assert epochs(last) == ["The last epoch was taken in 3 trainings"]
    texts = epochs({**last, **chosen, Run("svm", 0, 0): {}})
    assert texts[0] == "The last epoch was taken in 3 trainings"
    assert texts[1].startswith(
        "Epoch chosen on the validation patients: 30 (median of 3 trainings of at most 60 epochs)"
    )
    assert texts[1].endswith("in 1 of them in the last tenth")
