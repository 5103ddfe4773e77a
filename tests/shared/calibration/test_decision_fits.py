"""What calibrating writes for a wanted sensitivity and for further error rates."""

from __future__ import annotations

import numpy as np
import pytest

from shared.calibration.decision_fits import deferral_entries, sensitivity_entry
from shared.calibration.risk_control import fit_sensitivity

CLASSES = ["normal", "tumour"]


def records(labels, patients=None):
    named = {} if patients is None else {"patient": patients}
    return [{"label": label} | {key: values[i] for key, values in named.items()} for i, label in enumerate(labels)]


def test_the_entry_is_the_fit_and_says_what_a_case_is():
    rng = np.random.default_rng(0)
    probability, labels, patients = rng.random(80), rng.integers(0, 2, 80), rng.integers(0, 40, 80)
    entry = sensitivity_entry(probability, records(labels.tolist(), patients.tolist()), CLASSES, 0.8, "patient")
    fit = fit_sensitivity(probability, labels, 0.8, groups=patients)
    assert entry == {
        **fit.to_dict(),
        "class": "tumour",
        "by": "patient",
        "split": "validation",
        "nominal": True,
        "reached": True,
        "n_needed": 4,
    }
    apart = sensitivity_entry(
        probability, records(labels.tolist(), patients.tolist()), CLASSES, 0.8, "patient", split="calibration"
    )
    assert apart == {**entry, "split": "calibration", "nominal": False}
    alone = sensitivity_entry(probability, records(labels.tolist()), CLASSES, 0.8, "patient")
    assert alone["by"] == "sample"
    assert alone["threshold"] == fit_sensitivity(probability, labels, 0.8).threshold


def test_too_few_cases_are_said_and_not_made_up_for(caplog):
    entry = sensitivity_entry(np.array([0.2, 0.9, 0.8]), records([0, 1, 1]), CLASSES, 0.9, None)
    assert (entry["reached"], entry["threshold"], entry["n_positive"], entry["n_needed"]) == (False, None, 2, 9)
    assert "at least 9 positive cases, found 2, which can promise at most 0.667" in entry["reason"]
    assert entry["n_groups"] == 2
    twins = sensitivity_entry(np.array([0.2, 0.9, 0.8]), records([0, 1, 1], ["A", "B", "B"]), CLASSES, 0.9, "patient")
    assert (twins["n_positive"], twins["n_groups"]) == (2, 1)
    assert "no prediction of another class than tumour will be accepted" in caplog.text


def test_each_error_rate_has_the_lowest_confidence_that_reaches_it():
    rng = np.random.default_rng(1)
    confidence = rng.random(200)
    wrong, kept = rng.random(200) > confidence, rng.random(200) < 0.9
    found = deferral_entries(confidence, wrong, kept, [0.05, 0.2])
    for entry, risk in zip(found, (0.05, 0.2), strict=True):
        passing = [c for c in confidence[kept] if wrong[kept & (confidence >= c)].mean() <= risk]
        assert entry["threshold"] == min(passing)
        accepted = kept & (confidence >= min(passing))
        assert entry["coverage"] == pytest.approx(accepted.mean())
        assert entry["risk"] == pytest.approx(wrong[accepted].mean())
    assert found[0]["threshold"] > found[1]["threshold"]


def test_an_error_rate_out_of_reach_has_no_confidence():
    all_wrong = deferral_entries(np.array([0.5, 0.9]), np.array([True, True]), np.array([True, True]), [0.1])
    nothing_kept = deferral_entries(np.array([0.5]), np.array([False]), np.array([False]), [0.1])
    for entry in (*all_wrong, *nothing_kept):
        assert (entry["threshold"], entry["coverage"], entry["risk"]) == (None, None, None)
