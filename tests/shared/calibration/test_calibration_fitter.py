"""Calibrating: what is written is what fitting by hand gives, and unfit validation data are recorded as such."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict

import numpy as np
import pytest
import torch
from ignite.engine import Engine
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from shared.calibration.calibrated_classifier import CalibratedClassifier
from shared.calibration.calibration_fitter import CalibrationFitter
from shared.calibration.outliers.all_scores import ScoreSettings
from shared.calibration.output_collector import CollectedOutputs, OutputCollector
from shared.data.errors import DataError
from shared.data.files import sha256_file

CLASSES = ["cat", "dog", "owl"]
SETTINGS = {"samples": 1, "seed": 4}


def make_section(section, count, seed, sharpness=3.0, noise=1.0):
    """Single-pass logits, too sharp by a factor of 3, over an embedding that holds the class."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, count)
    embedding = 2 * np.eye(3)[labels] + noise * rng.normal(size=(count, 3))
    records = [{"id": f"{section}/{i}", "section": section, "label": int(label)} for i, label in enumerate(labels)]
    logits = (sharpness * embedding)[:, np.newaxis].astype(np.float32)
    return CollectedOutputs(records, {"logits": logits, "embedding": embedding.astype(np.float32)})


def joined(*parts):
    records = [record for part in parts for record in part.records]
    return CollectedOutputs(
        records, {name: np.concatenate([part.outputs[name] for part in parts]) for name in parts[0].outputs}
    )


@pytest.fixture
def files(tmp_path):
    weights = tmp_path / "model.pt"
    weights.write_bytes(b"weights")
    return weights, tmp_path / "calibration.json"


def make_fitter(files, collected=None, **options):
    collector = OutputCollector(collected.records if collected else [])
    collector.collected = collected
    torch.manual_seed(0)
    settings = {"bundle": "pets", "last_layer": torch.nn.Linear(3, 3), **SETTINGS, **options}
    return CalibrationFitter(collector, CLASSES, files[0], files[1], **settings)


def calibrate(files, collected, **options):
    fitter = make_fitter(files, collected, **options)
    engine = Engine(lambda *_: None)
    fitter.attach(engine)
    engine.run([0])
    return json.loads(files[1].read_text())


def test_every_number_is_that_of_fitting_by_hand(files):
    training, validation = make_section("training", 300, 0), make_section("validation", 400, 1)
    # sections are told apart by the records, not by their place
    content = calibrate(files, joined(validation, training), minimum_confidence=0.3, target_risk=0.08)

    labels = np.array([record["label"] for record in validation.records])
    logits = validation.outputs["logits"][:, 0].astype(np.float64)
    rows = np.arange(len(labels))
    by_hand = minimize_scalar(
        lambda t: -log_softmax(logits / t, axis=1)[rows, labels].mean(),
        bounds=(0.1, 20),
        method="bounded",
        options={"xatol": 1e-9},
    )
    temperature = content["temperature"]
    assert temperature["value"] == pytest.approx(by_hand.x, rel=1e-5)
    assert temperature["loss_after"] == pytest.approx(by_hand.fun)
    assert temperature["loss_after"] < temperature["loss_before"]
    assert (temperature["n"], temperature["bound"], temperature["split"]) == (400, None, "validation")

    probabilities = softmax(logits / temperature["value"], axis=1)
    confidence = (3 * probabilities.max(axis=1) - 1) / 2
    wrong = probabilities.argmax(axis=1) != labels
    classifier = CalibratedClassifier.load(files[1], files[0], classes=CLASSES, **SETTINGS)
    score = classifier(validation.outputs)["outlier_score"]
    kept = (confidence >= 0.3) & (score <= content["outlier"]["threshold"])
    assert content["outlier"]["kept"] == pytest.approx(kept.mean())
    # of all thresholds that reach the risk among what is kept, the one that accepts most
    candidates = [t for t in confidence[kept] if wrong[kept & (confidence >= t)].mean() <= 0.08]
    accept = content["confidence"]["accept"]
    assert accept == pytest.approx(min(candidates), rel=1e-12)
    accepted = kept & (confidence >= accept - 1e-12)
    assert content["confidence"]["coverage"] == pytest.approx(accepted.mean())
    assert content["confidence"]["risk"] == pytest.approx(wrong[accepted].mean())
    assert 0 < wrong[accepted].mean() <= 0.08 < wrong[kept].mean()
    assert content["confidence"]["reached"] is True
    assert content["confidence"]["n"] == 400

    decision = classifier(validation.outputs)["decision"]
    np.testing.assert_array_equal(decision == "accept", accepted)
    np.testing.assert_array_equal(decision != "reject", kept)


def test_what_is_rejected_is_what_was_asked_for(files):
    collected = joined(make_section("training", 400, 2), make_section("validation", 600, 3))
    content = calibrate(files, collected, minimum_confidence=0.05, inliers_kept=0.95)
    assert content["outlier"]["kept"] == pytest.approx(0.95, abs=0.005)
    # fitted on training samples alone: the same validation samples behind other training ones give other scores
    other = calibrate(files, joined(make_section("training", 400, 5), make_section("validation", 600, 3)))
    assert other["outlier"]["threshold"] != content["outlier"]["threshold"]


def test_the_file_names_what_it_belongs_to(files, tmp_path):
    datalist = tmp_path / "datalist.json"
    datalist.write_text("{}")
    collected = joined(make_section("training", 60, 0), make_section("validation", 60, 1))
    content = calibrate(files, collected, data_files=[datalist], prepared_with={"crop_size": 40})
    assert content["weights_sha256"] == sha256_file(files[0])
    assert content["monte_carlo"] == SETTINGS
    assert content["classes"] == CLASSES
    assert content["bundle"] == "pets"
    assert content["prepared_with"] == {"crop_size": 40}
    assert content["outlier"]["statistics_sha256"] == sha256_file(tmp_path / content["outlier"]["statistics"])
    assert (content["outlier"]["n_training"], content["outlier"]["n_validation"]) == (60, 60)
    assert content["provenance"]["weights"][0]["sha256"] == sha256_file(files[0])
    assert content["provenance"]["data"][0]["sha256"] == sha256_file(datalist)


def test_settings_of_the_outlier_scores_are_used_and_written(files):
    collected = joined(make_section("training", 200, 0), make_section("validation", 200, 1))
    members = ["nearest_neighbour"]
    usual = calibrate(files, collected, outlier_members=members)["outlier"]
    assert usual["settings"] == asdict(ScoreSettings())
    settings = ScoreSettings(neighbours=3, tail_share=0.3)
    changed = calibrate(files, collected, outlier_members=members, outlier_settings=settings)["outlier"]
    assert changed["settings"] == asdict(settings)
    assert changed["threshold"] != usual["threshold"]
    with pytest.raises(DataError, match="trim must lie in"):
        calibrate(files, collected, outlier_settings=ScoreSettings(trim=0.7))


def test_a_target_risk_out_of_reach_accepts_nothing(files, caplog):
    validation = make_section("validation", 200, 1)
    # the surest prediction is wrong
    first = validation.records[0]["label"]
    validation.outputs["logits"][0] = 0
    validation.outputs["logits"][0, 0, (first + 1) % 3] = 100
    with caplog.at_level(logging.WARNING):
        content = calibrate(
            files,
            joined(make_section("training", 100, 0), validation),
            target_risk=0.001,
            minimum_confidence=0.0,
            inliers_kept=0.999,
        )
    assert "nothing will be accepted: no confidence threshold reaches a risk of 0.001" in caplog.text
    confidence = content["confidence"]
    assert (confidence["reached"], confidence["accept"], confidence["risk"]) == (False, None, None)
    assert confidence["coverage"] == 0
    classifier = CalibratedClassifier.load(files[1], files[0], classes=CLASSES, **SETTINGS)
    certain = {name: rows[:3].copy() for name, rows in validation.outputs.items()}
    certain["logits"][0, 0] = 1e5, 0, 0
    result = classifier(certain)
    assert result["confidence"][0] == 1.0  # in double precision
    assert result["decision"][0] == "defer"


def test_a_guarantee_records_its_bound(files):
    collected = joined(make_section("training", 200, 0), make_section("validation", 800, 1))
    plain = calibrate(files, collected, target_risk=0.08)["confidence"]
    guaranteed = calibrate(files, collected, target_risk=0.08, guarantee=0.05)["confidence"]
    assert plain["risk_bound"] is None
    assert guaranteed["risk"] < guaranteed["risk_bound"] <= 0.08
    assert guaranteed["coverage"] < plain["coverage"]


def by_donor(collected, size=20):
    """Give the records donors of ``size`` samples each."""
    records = [record | {"donor": f"D{index // size}"} for index, record in enumerate(collected.records)]
    return CollectedOutputs(records, collected.outputs)


def test_with_a_guarantee_acceptance_is_fitted_on_other_donors(files):
    training, validation = make_section("training", 200, 0), by_donor(make_section("validation", 800, 1))
    content = calibrate(files, joined(training, validation), target_risk=0.08, guarantee=0.05)
    assert content["confidence"]["divided_by"] == "donor"
    n = content["confidence"]["n"]
    assert content["temperature"]["n"] == content["outlier"]["n_validation"] == 800 - n
    assert 0 < n < 800
    assert n % 20 == 0  # whole donors

    def with_labels_changed(donors):
        # a class more for every sample of these donors
        records = [
            record | {"label": (record["label"] + 1) % 3} if record["donor"] in donors else record
            for record in validation.records
        ]
        return calibrate(
            files,
            joined(training, CollectedOutputs(records, validation.outputs)),
            target_risk=0.08,
            guarantee=0.05,
        )

    # each donor's labels move either the temperature or the accepted risk, never both
    moves = []
    for donor in ("D0", "D7", "D20", "D39"):
        changed = with_labels_changed({donor})
        temperature = changed["temperature"]["value"] != content["temperature"]["value"]
        if not temperature:
            assert changed["outlier"]["threshold"] == content["outlier"]["threshold"]
            assert changed["confidence"]["risk_bound"] != content["confidence"]["risk_bound"]
        moves.append(temperature)
    assert set(moves) == {True, False}


@pytest.mark.parametrize("donors", [None, 1])
def test_without_donors_samples_are_divided_and_it_is_said(files, caplog, donors):
    validation = make_section("validation", 400, 1)
    if donors:
        validation = by_donor(validation, size=400)
    collected = joined(make_section("training", 200, 0), validation)
    with caplog.at_level(logging.WARNING):
        content = calibrate(files, collected, target_risk=0.1, guarantee=0.1)
    assert content["confidence"]["divided_by"] == "sample"
    assert content["confidence"]["n"] == pytest.approx(200, abs=1)
    assert "the guarantee of the risk is nominal" in caplog.text


def test_separable_validation_data_keep_the_networks_own_confidence(files, caplog):
    validation = make_section("validation", 100, 1, noise=0.1, sharpness=1.0)
    with caplog.at_level(logging.WARNING):
        content = calibrate(files, joined(make_section("training", 100, 0), validation))
    assert "no temperature fits best" in caplog.text
    temperature = content["temperature"]
    assert (temperature["value"], temperature["bound"]) == (1.0, "lower")
    assert temperature["loss_after"] == temperature["loss_before"] > 0
    assert temperature["gradient"] > 0  # a lower temperature would fit better still
    classifier = CalibratedClassifier.load(files[1], files[0], classes=CLASSES, **SETTINGS)
    expected = softmax(validation.outputs["logits"][:, 0].astype(np.float64), axis=1)
    np.testing.assert_allclose(classifier(validation.outputs)["probabilities"], expected, rtol=1e-12)


def test_a_network_below_chance_is_recorded_and_keeps_nothing(files, caplog):
    validation = make_section("validation", 100, 1)
    validation.outputs["logits"][:] *= -1
    with caplog.at_level(logging.WARNING):
        content = calibrate(files, joined(make_section("training", 100, 0), validation))
    assert "no better than chance" in caplog.text
    assert "nothing will be kept" in caplog.text
    assert content["temperature"]["bound"] == "upper"
    assert content["temperature"]["loss_after"] == pytest.approx(np.log(3), abs=0.01)
    assert content["outlier"]["kept"] == 0
    assert content["confidence"]["accept"] is None
    classifier = CalibratedClassifier.load(files[1], files[0], classes=CLASSES, **SETTINGS)
    assert set(classifier(validation.outputs)["decision"]) == {"reject"}


def two_classes(section, count, seed):
    """Cats and dogs alone, in the order of their first logits."""
    collected = make_section(section, count, seed)
    kept = collected.where([record["label"] < 2 for record in collected.records])
    return CollectedOutputs(kept.records, kept.outputs | {"logits": kept.outputs["logits"][..., :2]})


def calibrate_two(files, training, validation, **options):
    collector = OutputCollector([])
    collector.collected = joined(training, validation)
    torch.manual_seed(0)
    fitter = CalibrationFitter(
        collector, CLASSES[:2], *files, bundle="pets", last_layer=torch.nn.Linear(3, 2), **SETTINGS, **options
    )
    fitter(Engine(lambda *_: None))
    return json.loads(files[1].read_text())


def test_a_wanted_sensitivity_binds_what_is_accepted_as_the_other_class(files):
    training, validation = two_classes("training", 200, 0), two_classes("validation", 300, 1)
    content = calibrate_two(
        files, training, validation, target_risk=0.2, target_sensitivity=0.98, deferral_risks=[0.05]
    )
    fitted = content["sensitivity"]
    labels = np.array([record["label"] for record in validation.records])
    logits = validation.outputs["logits"][:, 0].astype(np.float64)
    dog = softmax(logits / content["temperature"]["value"], axis=1)[:, 1]
    allowed = int(0.02 * ((labels == 1).sum() + 1)) - 1
    assert fitted["threshold"] == pytest.approx(np.sort(dog[labels == 1])[allowed], rel=1e-12)
    assert (fitted["class"], fitted["missed"], fitted["reached"]) == ("dog", allowed, True)
    assert [entry["target_risk"] for entry in content["deferral"]] == [0.05]
    classifier = CalibratedClassifier.load(files[1], files[0], classes=CLASSES[:2], **SETTINGS)
    new = two_classes("test", 400, 9)
    columns = classifier(new.outputs)
    as_cat = (columns["decision"] == "accept") & (columns["prediction"] == 0)
    assert as_cat.any()
    assert columns["probabilities"][as_cat, 1].max() < fitted["threshold"]
    deferred = ["is not below" in reason for reason in columns["reason"]]
    assert any(deferred)
    # without it, the same samples but those are accepted
    calibrate_two(files, training, validation, target_risk=0.2)
    plain = CalibratedClassifier.load(files[1], files[0], classes=CLASSES[:2], **SETTINGS)(new.outputs)
    np.testing.assert_array_equal(plain["decision"] == "accept", (columns["decision"] == "accept") | deferred)


def test_a_sensitivity_out_of_reach_accepts_nothing_as_the_other_class(files):
    training, validation = two_classes("training", 100, 0), two_classes("validation", 60, 1)
    fitted = calibrate_two(files, training, validation, target_sensitivity=0.99)["sensitivity"]
    assert (fitted["reached"], fitted["threshold"], fitted["n_needed"]) == (False, None, 99)
    columns = CalibratedClassifier.load(files[1], files[0], classes=CLASSES[:2], **SETTINGS)(validation.outputs)
    accepted = columns["decision"] == "accept"
    assert set(columns["prediction"][accepted]) == {1}
    with pytest.raises(ValueError, match="second of two classes, found 3: cat, dog, owl"):
        make_fitter(files, target_sensitivity=0.9)


@pytest.mark.parametrize("source", ["validation", "calibration"])
def test_it_says_which_samples_it_was_fitted_on_and_whether_they_chose_the_epoch(files, source):
    training, fitted = make_section("training", 60, 0), make_section("validation", 80, 1)
    for record in fitted.records:
        record["source_section"] = source
    content = calibrate(files, joined(training, fitted))
    assert content["fitted_on"]["section"] == source
    assert (content["fitted_on"]["n"], content["fitted_on"]["nominal"]) == (80, source == "validation")
    assert content["temperature"]["split"] == content["confidence"]["split"] == source


def test_missing_and_too_few_samples_are_named(files):
    with pytest.raises(DataError, match="no validation samples"):
        calibrate(files, make_section("training", 30, 0))
    with pytest.raises(DataError, match="no training samples"):
        calibrate(files, make_section("validation", 30, 0))
    with pytest.raises(DataError, match="add validation samples of at least two classes"):
        calibrate(files, joined(make_section("training", 30, 0), make_section("validation", 1, 1)))
    assert not files[1].exists()


def test_few_validation_samples_are_enough_with_a_warning(files, caplog):
    few = make_section("validation", 6, 1)
    with caplog.at_level(logging.WARNING):
        content = calibrate(files, joined(make_section("training", 30, 0), few))
    assert "6 validation images are too few" in caplog.text
    assert content["outlier"]["n_validation"] == 6
    classifier = CalibratedClassifier.load(files[1], files[0], classes=CLASSES, **SETTINGS)
    assert (classifier(few.outputs)["outlier_score"] <= content["outlier"]["threshold"]).all()


def test_it_must_stand_behind_its_collector(files):
    with pytest.raises(RuntimeError, match="list it before this handler"):
        make_fitter(files)(Engine(lambda *_: None))
