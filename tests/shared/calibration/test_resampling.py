import numpy as np
import pytest
from scipy.stats import chisquare

from shared.calibration import resampling
from shared.calibration.resampling import basic_interval, central_interval, simulated_labels, simulated_outcomes


def test_simulated_labels_follow_the_probabilities():
    probabilities = np.array([[0.1, 0.2, 0.3, 0.4], [0.7, 0.0, 0.3, 0.0], [0.0, 0.0, 0.0, 1.0]])
    labels = np.concatenate(list(simulated_labels(probabilities, 20_000, np.random.default_rng(0))))
    for row, probability in zip(labels.T, probabilities, strict=True):
        count = np.bincount(row, minlength=4)
        assert (count[probability == 0] == 0).all()
        possible = probability > 0
        if possible.sum() > 1:
            assert chisquare(count[possible], 20_000 * probability[possible]).pvalue > 1e-3


def test_simulated_labels_are_independent_between_samples():
    labels = np.concatenate(list(simulated_labels(np.full((2, 2), 0.5), 20_000, np.random.default_rng(1))))
    assert abs(np.corrcoef(labels.T)[0, 1]) < 0.03


def test_simulated_outcomes_follow_the_forecasts():
    forecast = np.array([0.0, 0.25, 0.9, 1.0])
    outcomes = np.concatenate(list(simulated_outcomes(forecast, 20_000, np.random.default_rng(0))))
    np.testing.assert_allclose(outcomes.mean(axis=0), forecast, atol=0.01)
    assert set(outcomes[:, 0]) == {0.0}
    assert set(outcomes[:, 3]) == {1.0}


def test_chunks_add_up(monkeypatch):
    whole = np.concatenate(list(simulated_labels(np.full((10, 2), 0.5), 25, np.random.default_rng(2))))
    monkeypatch.setattr(resampling, "CHUNK_ELEMENTS", 40)
    chunks = list(simulated_labels(np.full((10, 2), 0.5), 25, np.random.default_rng(2)))
    assert [len(chunk) for chunk in chunks] == [4] * 6 + [1]
    np.testing.assert_array_equal(np.concatenate(chunks), whole)


def test_basic_interval_mirrors_the_quantiles():
    resampled = np.linspace(2, 4, 2001)
    assert central_interval(resampled) == pytest.approx([2.05, 3.95])
    assert basic_interval(2.5, resampled) == pytest.approx([1.05, 2.95])
    assert basic_interval(2.5, resampled, minimum=2.0) == pytest.approx([2.0, 2.95])
    assert basic_interval(2.5, resampled, maximum=2.7) == pytest.approx([1.05, 2.7])


def test_basic_interval_always_holds_the_estimate():
    assert basic_interval(1.0, np.linspace(2, 4, 2001), minimum=0.0) == pytest.approx([0.0, 1.0])
    low, high = basic_interval(5.0, np.linspace(2, 4, 2001))
    assert low <= 5.0 <= high
