"""Joined folds and ensembles against slow computations on hand-made predictions."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from scipy.optimize import brentq
from scipy.special import expit, log_expit

from shared.calibration.temperature import fit_temperature
from shared.data.errors import DataError

P = 60


def slow_temperature(logits, truth):
    """The most probable one, if its logarithm has a standard normal distribution before any patient is seen."""
    signed = logits * (2 * truth - 1)
    tried = np.linspace(-3, 3, 6001)
    loss = [-log_expit(signed / np.exp(t)).sum() + t**2 / 2 for t in tried]
    near = tried[int(np.argmin(loss))]
    slope = brentq(lambda t: (expit(-signed / np.exp(t)) * signed / np.exp(t)).sum() + t, near - 2e-3, near + 2e-3)
    return float(np.exp(slope))


def test_each_patient_gets_the_temperature_and_the_threshold_of_its_fold(study, workshop, labels, write_result):
    Run, written = study("grid").Run, {}
    sets = {"image_set_logits": lambda rng, n: rng.normal(size=(n, 5)), "gate": lambda rng, n: rng.random(n)}
    for repeat in (0, 2):
        for fold in range(2):
            run = Run("moe_p1_k32", repeat, fold)
            written[repeat, fold] = write_result(run, seed=10 * repeat + fold, **sets)
    joined = study("held_out").held_out(workshop, "moe_p1_k32", [0, 2])
    assert joined.repeats == (0, 2)
    assert joined.after.shape == (2, P)
    losses: dict[int, list[float]] = {}
    for (repeat, _), arrays in written.items():
        truth = labels[arrays["validation_index"]]
        two_class = np.stack([np.zeros(len(truth)), arrays["validation_logits"]], axis=1)
        losses.setdefault(repeat, []).append(fit_temperature(two_class, truth, at_bound="conservative").loss_after)
        temperature = slow_temperature(arrays["validation_logits"], truth)
        patients, row = arrays["test_index"], (0, 2).index(repeat)
        calibrated = arrays["test_logits"] / temperature
        np.testing.assert_allclose(joined.before[row, patients], expit(arrays["test_logits"]))
        np.testing.assert_allclose(joined.after[row, patients], expit(calibrated), rtol=1e-5)
        np.testing.assert_allclose(
            joined.more["image_sets"][row, patients], expit(arrays["image_set_logits"] / temperature), rtol=1e-5
        )
        np.testing.assert_array_equal(joined.more["gate"][row, patients], arrays["gate"])
        threshold = study("choices").youden_threshold(arrays["validation_logits"] / temperature, truth)
        np.testing.assert_array_equal(joined.at_threshold[row, patients], expit(calibrated) > threshold)
    np.testing.assert_allclose(joined.validation_losses, [np.mean(losses[repeat]) for repeat in (0, 2)])
    np.testing.assert_array_equal(joined.of([2]), joined.after[1:])


def test_what_was_fitted_to_validation_patients_is_not_calibrated_on_them(study, workshop, write_result):
    run = study("grid").Run
    arrays = [write_result(run("shortcut_age", 0, fold), fold, calibrate=False) for fold in range(2)]
    joined = study("held_out").held_out(workshop, "shortcut_age", [0])
    np.testing.assert_allclose(joined.after, joined.before)
    np.testing.assert_array_equal(joined.at_threshold[0, arrays[0]["test_index"]], arrays[0]["test_logits"] > 0)


def test_folds_that_hold_out_a_patient_twice_are_refused(study, workshop, write_result):
    run = study("grid").Run
    write_result(run("mlp", 0, 0), 0)
    path = workshop.result_path(run("mlp", 0, 1))
    path.write_bytes(workshop.result_path(run("mlp", 0, 0)).read_bytes())
    with pytest.raises(DataError, match="every patient once"):
        study("held_out").held_out(workshop, "mlp", [0])


@pytest.mark.parametrize("calibrated", [False, True])
def test_the_average_is_that_of_both_logits_for_every_set_of_cells(study, workshop, calibrated, write_result):
    Run = study("grid").Run
    sets = {
        "image_set_logits": lambda rng, n: rng.normal(size=(n, 5)),
        "fewer_logits": lambda rng, n: rng.normal(size=(n, 2, 2)),
    }
    image = write_result(Run("cnn_mean_k32", 1, 0), 1, **sets)
    attributes = write_result(Run("mlp", 1, 0), 2)
    for name in ("cnn_mean_k32", "mlp"):
        path = workshop.weights_path(Run(name, 1, 0))
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save({"head.weight": torch.tensor([1.0]), "head.bias": torch.tensor(2.0), name: torch.zeros(1)}, path)
    run = Run("avg_calibrated_k32" if calibrated else "avg_mean_k32", 1, 0)
    temperatures = np.ones(2)
    if calibrated:
        labels = workshop.patients.labels
        for place, result in enumerate((image, attributes)):
            temperatures[place] = slow_temperature(result["validation_logits"], labels[result["validation_index"]])
        assert not np.allclose(temperatures, 1, atol=0.05)
    for place, result in enumerate((image, attributes)):
        for key in ("test_logits", "image_set_logits", "fewer_logits"):
            if key in result:
                result[key] = result[key] / temperatures[place]
    arrays, facts = study("network_run").average_run(workshop, run)
    assert facts["calibrate"]
    expected = (image["test_logits"] + attributes["test_logits"]) / 2
    np.testing.assert_allclose(arrays["test_logits"], expected, rtol=1e-5, atol=1e-6)
    for patient in range(len(image["test_logits"])):
        for subset in range(5):
            expected = (image["image_set_logits"][patient, subset] + attributes["test_logits"][patient]) / 2
            assert arrays["image_set_logits"][patient, subset] == pytest.approx(expected, rel=1e-5, abs=1e-6)
    np.testing.assert_allclose(
        arrays["fewer_logits"],
        (image["fewer_logits"] + attributes["test_logits"][:, None, None]) / 2,
        rtol=1e-5,
        atol=1e-6,
    )
    weights = torch.load(workshop.weights_path(run), weights_only=True)
    for place, (prefix, name) in enumerate((("image_expert", "cnn_mean_k32"), ("attribute_expert", "mlp"))):
        assert f"{prefix}.{name}" in weights
        assert weights[f"{prefix}.head.weight"].item() == pytest.approx(1 / temperatures[place])
        assert weights[f"{prefix}.head.bias"].item() == pytest.approx(2 / temperatures[place])
    assert len(weights) == 6


def test_an_ensemble_is_the_mean_of_its_members_calibrated_on_patients_of_their_own(
    study, workshop, labels, write_result
):
    Run = study("grid").Run
    run = Run("moe_p1_k32_ensemble", 1, 0)
    members = [Run("moe_p1_k32", 1, 0, member) for member in range(3)]
    assert study("grid").required_runs(workshop.settings, run)[-3:] == members
    assert [member.key for member in members] == [
        f"moe_p1_k32/repeat2_fold1{end}" for end in ("", "_member2", "_member3")
    ]
    assert (
        len({json.dumps(study("network_run").training_overrides(workshop, member)["seed"]) for member in members}) == 3
    )
    more = {"image_set_logits": lambda rng, n: rng.normal(size=(n, 5)), "gate": lambda rng, n: rng.random(n)}
    written = [write_result(member, seed=place, **more) for place, member in enumerate(members)]
    arrays, facts = study("ensemble_run").ensemble_run(workshop, run)
    assert not facts["calibrate"]  # nothing is fitted to the mean
    probabilities, sets = 0, 0
    for result in written:
        temperature = slow_temperature(result["validation_logits"], labels[result["validation_index"]])
        probabilities = probabilities + expit(result["test_logits"] / temperature) / 3
        sets = sets + expit(result["image_set_logits"] / temperature) / 3
        for patient, value in zip(result["validation_index"], result["validation_logits"], strict=True):
            (place,) = np.flatnonzero(arrays["validation_index"] == patient)
            assert arrays["validation_logits"][place] == pytest.approx(value / temperature, rel=1e-5)
    np.testing.assert_allclose(expit(arrays["test_logits"]), probabilities, rtol=1e-5)
    np.testing.assert_allclose(expit(arrays["image_set_logits"]), sets, rtol=1e-5)
    np.testing.assert_allclose(arrays["gate"], np.mean([result["gate"] for result in written], axis=0))
    # the members' results do not count as further folds of the model itself
    assert workshop.is_done(members[2]) is False  # without its weights
    assert json.loads(workshop.recipe(members[0]))["run"] == {"model": "moe_p1_k32", "repeat": 1, "fold": 0}
