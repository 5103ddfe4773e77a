import numpy as np
import pytest
import torch
from sklearn.calibration import calibration_curve
from torchmetrics.functional.classification import binary_calibration_error, multiclass_calibration_error

from shared.calibration.binning import assign_bins, bin_edges, binned_sums
from shared.calibration.calibration_error import (
    classwise_calibration_error,
    event_calibration_error,
    label_calibration_error,
    norm_of_gaps,
    top_label_calibration_error,
)
from tests.oracles import calibration as oracle

NORMS = ["l1", "l2", "max"]


@pytest.fixture(scope="module")
def predictions():
    rng = np.random.default_rng(0)
    return rng.dirichlet(np.full(4, 0.4), size=300), rng.integers(0, 4, 300)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("n_bins", [1, 7, 10, 15, 20])
def test_top_label_agrees_with_torchmetrics(predictions, norm, n_bins):
    probabilities, labels = predictions
    reference = multiclass_calibration_error(
        torch.from_numpy(probabilities), torch.from_numpy(labels), num_classes=4, n_bins=n_bins, norm=norm
    )
    assert top_label_calibration_error(probabilities, labels, n_bins=n_bins, norm=norm) == pytest.approx(
        reference.item(), abs=1e-6
    )


@pytest.mark.parametrize("norm", NORMS)
def test_labels_agree_with_torchmetrics(predictions, norm):
    probabilities, labels = predictions
    present = (labels[:, None] == np.arange(4)).astype(float)
    present[::5, 1] = np.nan
    errors = label_calibration_error(probabilities, present, n_bins=10, norm=norm)
    for index, error in enumerate(errors):
        known = ~np.isnan(present[:, index])
        reference = binary_calibration_error(
            torch.from_numpy(probabilities[known, index]),
            torch.from_numpy(present[known, index]).long(),
            n_bins=10,
            norm=norm,
        )
        assert error == pytest.approx(reference.item(), abs=1e-12)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize(
    ("binning", "bins_of"), [("equal_width", oracle.equal_width_bins), ("equal_mass", oracle.equal_mass_bins)]
)
@pytest.mark.parametrize("n", [9, 100, 301])
def test_events_agree_with_the_slow_definition(norm, binning, bins_of, n):
    rng = np.random.default_rng(n)
    forecast, outcome = rng.random(n), rng.integers(0, 2, n)
    expected = oracle.calibration_error(forecast, outcome, bins_of(forecast, 10), norm)
    assert event_calibration_error(forecast, outcome, n_bins=10, binning=binning, norm=norm) == pytest.approx(
        expected, abs=1e-12
    )


@pytest.mark.parametrize("binning", ["equal_width", "equal_mass"])
def test_classwise_combines_the_classes_with_equal_weights(predictions, binning):
    probabilities, labels = predictions
    for norm, combine in (("l1", np.mean), ("l2", lambda e: np.sqrt(np.mean(np.square(e)))), ("max", np.max)):
        per_class = [
            event_calibration_error(probabilities[:, k], labels == k, binning=binning, norm=norm) for k in range(4)
        ]
        assert classwise_calibration_error(probabilities, labels, binning=binning, norm=norm) == pytest.approx(
            combine(per_class)
        )


def test_bins_agree_with_the_calibration_curve_of_scikit_learn():
    rng = np.random.default_rng(3)
    forecast = rng.random(200)
    outcome = (rng.random(200) < forecast).astype(float)
    sums = binned_sums(forecast, outcome, assign_bins(forecast, bin_edges(forecast, 10)), 10)
    frequency, mean = calibration_curve(outcome, forecast, n_bins=10)
    np.testing.assert_allclose(sums.outcome / sums.size, frequency, atol=1e-12)
    np.testing.assert_allclose(sums.forecast / sums.size, mean, atol=1e-12)


def test_certainty_falls_in_the_last_bin():
    # in one bin the gap is |0.975 - 0.75|; a bin of its own for 1.0 would make it 0.5 * 0.45 + 0.5 * 0
    forecast, outcome = [0.95, 0.95, 1.0, 1.0], [1, 0, 1, 1]
    assert assign_bins(np.array(forecast), np.linspace(0, 1, 11)).tolist() == [9, 9, 9, 9]
    assert event_calibration_error(forecast, outcome, n_bins=10, norm="max") == pytest.approx(0.225)


def test_saturated_predictions_have_a_calibration_error():
    probabilities = np.eye(4)[[0, 1, 2, 3, 0]]
    for binning in ("equal_width", "equal_mass"):
        assert top_label_calibration_error(probabilities, [0, 1, 2, 3, 1], binning=binning) == pytest.approx(0.2)
        assert top_label_calibration_error(probabilities, [0, 1, 2, 3, 0], binning=binning) == 0


def test_equal_mass_bins_hold_equally_many_samples():
    forecast = np.random.default_rng(0).random(1000) ** 4
    bins = assign_bins(forecast, bin_edges(forecast, 8, "equal_mass"))
    assert np.bincount(bins).tolist() == [125] * 8


def test_equal_mass_bins_do_not_depend_on_the_order_of_ties():
    rng = np.random.default_rng(0)
    forecast, outcome = rng.choice([0.5, 0.7, 0.9, 1.0], 200), rng.integers(0, 2, 200)
    order = rng.permutation(200)
    first = event_calibration_error(forecast, outcome, binning="equal_mass")
    assert first == pytest.approx(event_calibration_error(forecast[order], outcome[order], binning="equal_mass"))
    by_value = sum(abs((forecast - outcome)[forecast == v].sum()) for v in np.unique(forecast)) / 200
    assert first == pytest.approx(by_value)


@pytest.mark.parametrize(("n", "expected"), [(50, 0.10), (500, 0.03), (2000, 0.016)])
def test_a_perfect_predictor_has_the_known_bias(n, expected):
    rng = np.random.default_rng(n)
    forecast = rng.uniform(0.5, 1, size=(400, n))
    outcome = rng.random((400, n)) < forecast
    errors = [event_calibration_error(f, o, n_bins=10) for f, o in zip(forecast, outcome, strict=True)]
    assert np.mean(errors) == pytest.approx(expected, rel=0.15)


def test_batched_sums_equal_one_resample_at_a_time():
    rng = np.random.default_rng(2)
    forecast, outcome = rng.random(80), rng.integers(0, 2, 80).astype(float)
    bins = assign_bins(forecast, bin_edges(forecast, 6))
    weights = rng.multinomial(80, np.full(80, 1 / 80), size=5).astype(float)
    simulated = (rng.random((5, 80)) < forecast).astype(float)
    for norm in NORMS:
        batch = norm_of_gaps(binned_sums(forecast, outcome, bins, 6, weights), norm)
        null = norm_of_gaps(binned_sums(forecast, simulated, bins, 6), norm)
        for row in range(5):
            drawn = np.repeat(np.arange(80), weights[row].astype(int))
            one = event_calibration_error(forecast[drawn], outcome[drawn], n_bins=6, norm=norm)
            assert batch[row] == pytest.approx(one, abs=1e-12)
            one = event_calibration_error(forecast, simulated[row], n_bins=6, norm=norm)
            assert null[row] == pytest.approx(one, abs=1e-12)


@pytest.mark.parametrize(
    ("probabilities", "labels", "message"),
    [
        ([[0.5, 0.4]], [0], "row 0 sums to 0.9"),
        ([[1.5, -0.5]], [0], r"lie in \[0, 1\], found 1.5; pass probabilities, not logits"),
        ([[np.nan, 1.0]], [0], "found nan"),
        ([[0.5, 0.5]], [2], "from 0 to 1, found 2 in row 0"),
        ([[0.5, 0.5]], [0, 1], "expected 1 labels"),
        (np.zeros((0, 2)), [], "no samples"),
        ([0.5, 0.5], [0, 1], r"\(N, K\)"),
    ],
)
def test_bad_input_is_answered_clearly(probabilities, labels, message):
    with pytest.raises(ValueError, match=message):
        top_label_calibration_error(probabilities, labels)


def test_bad_options_are_answered_clearly():
    with pytest.raises(ValueError, match="n_bins must be at least 1"):
        event_calibration_error([0.5], [1], n_bins=0)
    with pytest.raises(ValueError, match="binning must be one of"):
        event_calibration_error([0.5], [1], binning="quantile")
    with pytest.raises(ValueError, match="norm must be one of"):
        event_calibration_error([0.5], [1], norm="l3")
    with pytest.raises(ValueError, match="outcomes must be 0 or 1, found 2"):
        event_calibration_error([0.5], [2])
    with pytest.raises(ValueError, match="label 1: no samples"):
        label_calibration_error([[0.5, 0.5]], [[1.0, np.nan]])
