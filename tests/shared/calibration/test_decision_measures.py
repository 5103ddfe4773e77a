"""Sensitivity at the fitted threshold and time saved, counted one case after the other."""

from __future__ import annotations

import json

import numpy as np
import pytest

from shared.calibration.decision_measures import SensitivityCheck, TimeSaving
from shared.calibration.output_collector import CollectedOutputs
from shared.data.errors import DataError
from shared.data.files import write_json

CLASSES = ["normal", "tumour"]
THRESHOLD = 0.25


@pytest.fixture
def slides():
    rng = np.random.default_rng(2)
    labels = rng.integers(0, 2, 60)
    tumour = np.clip(rng.normal(0.2 + 0.5 * labels, 0.25), 0.001, 0.999).round(3)
    tumour[0], labels[0] = THRESHOLD, 1  # a case on the threshold is found
    prediction = (tumour > 0.5).astype(int)
    decision = np.where(np.abs(2 * tumour - 1) > 0.3, "accept", "defer").astype(object)
    decision[5:8] = "reject"
    decision[9], labels[9], prediction[9] = "accept", 1, 0  # a miss that nobody looks at
    columns = {
        "probabilities": np.stack([1 - tumour, tumour], axis=1),
        "prediction": prediction,
        "confidence": np.abs(2 * tumour - 1),
        "decision": decision,
    }
    records = [{"id": str(i), "label": int(label), "patient": f"P{i // 2}"} for i, label in enumerate(labels)]
    return CollectedOutputs(records, columns)


@pytest.fixture
def calibration_file(tmp_path):
    def write(**content):
        path = tmp_path / "calibration.json"
        write_json(path, content)
        return path

    return write


def test_sensitivity_and_specificity_are_counted_at_the_threshold(slides, calibration_file):
    fitted = {"class": "tumour", "target": 0.9, "reached": True, "threshold": THRESHOLD}
    check = SensitivityCheck(calibration_file(sensitivity=fitted), resamples=50, group_key="patient")
    measured = check(slides)
    counts = [[0, 0], [0, 0]]
    unseen = 0
    for record, tumour, decision, prediction in zip(
        slides.records,
        slides.outputs["probabilities"][:, 1],
        slides.outputs["decision"],
        slides.outputs["prediction"],
        strict=True,
    ):
        counts[record["label"]][int(tumour >= THRESHOLD)] += 1
        unseen += record["label"] == 1 and decision == "accept" and prediction == 0
    at = measured["at_threshold"]
    assert at["confusion_matrix"] == counts
    assert at["sensitivity"]["value"] == pytest.approx(counts[1][1] / sum(counts[1]))
    assert at["specificity"]["value"] == pytest.approx(counts[0][0] / sum(counts[0]))
    assert measured["accepted_as_other"]["count"] == unseen > 0
    assert measured["accepted_as_other"]["value"] == pytest.approx(unseen / sum(counts[1]))
    assert measured["n_positive_here"] == sum(counts[1])
    assert measured["target"] == 0.9
    json.dumps(measured)


def test_a_threshold_that_was_not_reached_or_not_asked_for(slides, calibration_file):
    fitted = {"class": "tumour", "target": 0.9, "reached": False, "threshold": None, "reason": "too few"}
    measured = SensitivityCheck(calibration_file(sensitivity=fitted))(slides)
    assert "at_threshold" not in measured
    assert measured["reason"] == "too few"
    assert SensitivityCheck(calibration_file(sensitivity=None))(slides) is None
    with pytest.raises(DataError, match=r"calibration.json: says nothing of 'sensitivity'; run calibrating again"):
        SensitivityCheck(calibration_file(temperature=1))(slides)


def test_time_is_that_of_the_decisions_and_of_each_error_rate(slides, calibration_file):
    deferral = [{"target_risk": 0.05, "threshold": 0.8}, {"target_risk": 0.1, "threshold": None}]
    saving = TimeSaving(
        calibration_file(deferral=deferral), CLASSES, seconds_per_case=30, cases=600, resamples=50, group_key="patient"
    )
    measured = saving(slides)
    outputs = slides.outputs
    labels = np.array([record["label"] for record in slides.records])
    wrong = outputs["prediction"] != labels
    accepted = outputs["decision"] == "accept"
    assert measured["hours_alone"] == 5.0
    assert measured["decided"]["hours_saved"]["value"] == pytest.approx(5 * accepted.mean())
    assert measured["decided"]["n_wrong"] == (accepted & wrong).sum()
    assert measured["error_rate"]["count"] == wrong.sum()
    by_class = measured["decided_as"]
    assert by_class["normal"]["n_accepted"] == (accepted & (outputs["prediction"] == 0)).sum()
    assert by_class["normal"]["n_accepted"] + by_class["tumour"]["n_accepted"] == accepted.sum()
    assert by_class["normal"]["n_wrong"] == (accepted & (outputs["prediction"] == 0) & (labels == 1)).sum()
    first, second = measured["deferral"]
    sure = (outputs["confidence"] >= 0.8) & (outputs["decision"] != "reject")
    assert first["n_accepted"] == sure.sum() > 0
    assert first["hours_saved"]["value"] == pytest.approx(5 * sure.mean())
    assert first["hours_after_correction"]["value"] == pytest.approx(5 * (sure.mean() - (sure & wrong).mean()))
    assert (first["assumed_share"], second["assumed_share"]) == (0.95, 0.9)
    assert second["n_accepted"] == 0
    with pytest.raises(DataError, match="says nothing of 'deferral'"):
        TimeSaving(calibration_file(sensitivity=None), CLASSES)(slides)
