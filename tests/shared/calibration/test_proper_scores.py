import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, log_loss

from shared.calibration.proper_scores import brier_decomposition, brier_score, negative_log_likelihood
from tests.oracles import calibration as oracle


@pytest.fixture(scope="module")
def predictions():
    rng = np.random.default_rng(0)
    return rng.dirichlet(np.full(4, 0.7), size=200), rng.integers(0, 4, 200)


def test_log_likelihood_agrees_with_scikit_learn(predictions):
    probabilities, labels = predictions
    assert negative_log_likelihood(probabilities, labels) == pytest.approx(log_loss(labels, probabilities))


def test_log_likelihood_stays_finite():
    assert negative_log_likelihood([[1.0, 0.0]], [1]) == pytest.approx(708.4, abs=0.1)


def test_brier_score_agrees_with_its_definition(predictions):
    probabilities, labels = predictions
    expected = np.mean(
        [sum((p[k] - (k == y)) ** 2 for k in range(4)) for p, y in zip(probabilities, labels, strict=True)]
    )
    assert brier_score(probabilities, labels) == pytest.approx(expected)


def test_brier_score_of_two_classes_is_twice_that_of_scikit_learn(predictions):
    probability, labels = predictions[0][:, 0], predictions[1] == 0
    two = np.stack([1 - probability, probability], axis=1)
    assert brier_score(two, labels.astype(int)) == pytest.approx(2 * brier_score_loss(labels, probability))


@pytest.mark.parametrize(
    ("binning", "bins_of"), [("equal_width", oracle.equal_width_bins), ("equal_mass", oracle.equal_mass_bins)]
)
@pytest.mark.parametrize("n_bins", [1, 5, 15])
def test_decomposition_agrees_with_its_definitions_and_sums_to_the_score(predictions, binning, bins_of, n_bins):
    probabilities, labels = predictions
    total = 0.0
    for k in range(4):
        forecast, outcome = probabilities[:, k], (labels == k).astype(float)
        parts = brier_decomposition(forecast, outcome, n_bins=n_bins, binning=binning)
        expected = oracle.brier_components(forecast, outcome, bins_of(forecast, n_bins))
        for name, value in expected.items():
            assert getattr(parts, name) == pytest.approx(value, abs=1e-14), name
        assert parts.score == pytest.approx(brier_score_loss(outcome, forecast), abs=1e-14)
        total += parts.score
    assert total == pytest.approx(brier_score(probabilities, labels), abs=1e-14)


def test_murphys_three_components_suffice_for_constant_bins():
    forecast = np.repeat([0.2, 0.6], 10)
    outcome = np.concatenate([np.repeat([1, 0], [3, 7]), np.repeat([1, 0], [6, 4])])
    parts = brier_decomposition(forecast, outcome, n_bins=5)
    assert parts.within_bin_variance == pytest.approx(0, abs=1e-15)
    assert parts.within_bin_covariance == pytest.approx(0, abs=1e-15)
    assert parts.reliability == pytest.approx(0.5 * 0.1**2)
    assert parts.resolution == pytest.approx(0.15**2)
    assert parts.uncertainty == pytest.approx(0.45 * 0.55)
