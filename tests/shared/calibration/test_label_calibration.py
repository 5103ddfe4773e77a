"""Calibration and decision of several labels: the fits that exist, thresholds, labels that cannot be fitted."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.special import expit

from shared.calibration.label_calibration import LabelCalibration, fit_label_calibration
from shared.calibration.multi_label import apply_label_temperatures, apply_platt, fit_label_temperatures, fit_platt
from shared.calibration.youden import fit_youden
from shared.data.errors import DataError

CLASSES = ["edema", "consolidation"]


@pytest.fixture
def problem():
    rng = np.random.default_rng(0)
    logits = rng.normal([1, -2], [3, 4], size=(400, 2))
    labels = (rng.random(logits.shape) < expit(0.5 * logits - 0.4)).astype(float)
    labels[rng.random(labels.shape) < 0.25] = np.nan
    return logits, labels


def test_probabilities_and_thresholds_are_those_of_the_fits(problem):
    logits, labels = problem
    temperatures = [fit.temperature for fit in fit_label_temperatures(logits, labels)]
    by_temperature = fit_label_calibration(logits, labels, CLASSES)
    probabilities = apply_label_temperatures(logits, temperatures)
    np.testing.assert_allclose(by_temperature.probabilities(logits), probabilities, rtol=1e-12)
    for index in range(2):
        youden = fit_youden(probabilities[:, index], labels[:, index])
        assert by_temperature.thresholds[index] == pytest.approx(youden.threshold, rel=1e-12)
    called = probabilities > by_temperature.thresholds
    np.testing.assert_array_equal(by_temperature.predictions(logits), called)

    by_platt = fit_label_calibration(logits, labels, CLASSES, method="platt")
    np.testing.assert_allclose(by_platt.probabilities(logits), apply_platt(logits, fit_platt(logits, labels)))
    # both scales rise, so that the same predictions are best
    np.testing.assert_array_equal(by_platt.predictions(logits), by_temperature.predictions(logits))

    raw = fit_label_calibration(logits, labels, CLASSES, method="none")
    np.testing.assert_allclose(raw.probabilities(logits), expit(logits))


def test_a_label_without_positives_is_refused_by_name_or_recorded(problem):
    logits, labels = problem
    labels[:, 1] = np.where(np.isnan(labels[:, 1]), np.nan, 0.0)
    with pytest.raises(DataError, match=r"^consolidation: all .* labels are class 0"):
        fit_label_calibration(logits, labels, CLASSES)
    fitted = fit_label_calibration(logits, labels, CLASSES, undetermined="record")
    assert list(fitted.undetermined) == ["consolidation"]
    np.testing.assert_allclose(fitted.probabilities(logits)[:, 1], expit(logits[:, 1]))
    assert fitted.thresholds[1] == 0.5
    assert fitted.slope[0] != 1


def test_reading_back_gives_the_same_and_says_what_is_missing(problem):
    logits, labels = problem
    labels[:, 1] = 1.0
    fitted = fit_label_calibration(logits, labels, CLASSES, undetermined="record")
    content = json.loads(json.dumps(fitted.to_json(), allow_nan=False))
    assert content["labels"]["edema"]["youden"]["n"] == int((~np.isnan(labels[:, 0])).sum())
    read = LabelCalibration.from_json(content)
    np.testing.assert_array_equal(read.probabilities(logits), fitted.probabilities(logits))
    np.testing.assert_array_equal(read.predictions(logits), fitted.predictions(logits))
    assert read.to_json() == content
    del content["labels"]["edema"]["threshold"]
    with pytest.raises(DataError, match="threshold"):
        LabelCalibration.from_json(content)


def test_arguments_are_checked(problem):
    logits, labels = problem
    with pytest.raises(ValueError, match="method"):
        fit_label_calibration(logits, labels, CLASSES, method="isotonic")
    with pytest.raises(DataError, match="shape"):
        fit_label_calibration(logits, labels[:, :1], CLASSES)
    with pytest.raises(ValueError, match="one column per label"):
        fit_label_calibration(logits, labels, CLASSES).probabilities(logits[:, :1])
