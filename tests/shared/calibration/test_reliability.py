import json

import numpy as np
import pytest
from sklearn.calibration import calibration_curve

from shared.calibration.calibration_error import event_calibration_error
from shared.calibration.reliability import event_reliability, reliability_diagram


def test_bins_agree_with_scikit_learn():
    rng = np.random.default_rng(0)
    forecast = rng.random(500)
    outcome = rng.integers(0, 2, 500)
    bins = event_reliability(forecast, outcome, n_bins=8)["bins"]
    frequency, mean = calibration_curve(outcome, forecast, n_bins=8)
    assert [one["accuracy"] for one in bins] == pytest.approx(frequency.tolist())
    assert [one["confidence"] for one in bins] == pytest.approx(mean.tolist())


@pytest.mark.parametrize("binning", ["equal_width", "equal_mass"])
def test_the_calibration_error_follows_from_the_diagram(binning):
    rng = np.random.default_rng(1)
    probabilities, labels = rng.dirichlet(np.ones(4), size=200), rng.integers(0, 4, 200)
    diagram = reliability_diagram(probabilities, labels, binning=binning)
    gaps = [b["count"] / 200 * abs(b["confidence"] - b["accuracy"]) for b in diagram["bins"] if b["count"]]
    correct = probabilities.argmax(axis=1) == labels
    assert sum(gaps) == pytest.approx(event_calibration_error(probabilities.max(axis=1), correct, binning=binning))
    assert [b["lower"] for b in diagram["bins"]][1:] == [b["upper"] for b in diagram["bins"]][:-1]


def test_empty_bins_are_named_and_json_holds_them():
    diagram = event_reliability([1.0, 1.0, 0.95], [1, 0, 1], n_bins=10)
    assert json.loads(json.dumps(diagram, allow_nan=False)) == diagram
    assert [b["count"] for b in diagram["bins"]] == [0] * 9 + [3]
    assert diagram["bins"][0] == {
        "lower": 0.0,
        "upper": 0.1,
        "count": 0,
        "confidence": None,
        "accuracy": None,
        "accuracy_ci95": None,
    }
    assert diagram["bins"][9]["accuracy"] == pytest.approx(2 / 3)
