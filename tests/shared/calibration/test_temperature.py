import json

import numpy as np
import pytest
import torch
from scipy.special import softmax

from shared.calibration.temperature import TemperatureFit, apply_temperature, fit_temperature, temperature_loss
from shared.data.errors import DataError
from tests.oracles.calibration import mean_softmax_loss


def sample_labels(probabilities, rng):
    return (rng.random((len(probabilities), 1)) > probabilities.cumsum(axis=1)[:, :-1]).sum(axis=1)


def logits_with_temperature(temperature, n=40_000, num_classes=4, seed=0):
    """Logits whose labels are drawn from softmax(z / T), so that T is the true temperature."""
    rng = np.random.default_rng(seed)
    calibrated = 2 * rng.normal(size=(n, num_classes))
    return temperature * calibrated, sample_labels(softmax(calibrated, axis=1), rng)


@pytest.fixture(scope="module")
def monte_carlo():
    rng = np.random.default_rng(1)
    centre = 3 * rng.normal(size=(60, 1, 3))
    samples = centre + 4 * rng.normal(size=(60, 7, 3))
    labels = sample_labels(softmax(centre[:, 0] / 2, axis=1), rng)
    return samples, labels


@pytest.mark.parametrize("temperature", [0.1, 0.5, 1.0, 3.01, 20.0, 150.0])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_recovers_the_true_temperature(temperature, dtype):
    logits, labels = logits_with_temperature(temperature)
    fit = fit_temperature(logits.astype(dtype), labels)
    # the standard error of log T is below 1 % at this N
    assert fit.temperature == pytest.approx(temperature, rel=0.02)
    assert abs(fit.gradient) < 1e-6
    assert fit.bound is None
    assert fit.n == len(labels)
    assert fit.loss_after <= fit.loss_before


def test_float32_tensors_are_fitted_like_float64_arrays():
    logits, labels = logits_with_temperature(3.01, n=2000)
    from_tensor = fit_temperature(torch.from_numpy(logits).float(), torch.from_numpy(labels))
    assert from_tensor.temperature == pytest.approx(fit_temperature(logits, labels).temperature, rel=1e-6)


def test_is_invariant_to_scale_and_shift():
    logits, labels = logits_with_temperature(3.01, n=500)
    fit = fit_temperature(logits, labels)
    scaled = fit_temperature(7 * logits + 1000, labels)
    assert scaled.temperature == pytest.approx(7 * fit.temperature, rel=1e-6)
    assert scaled.loss_after == pytest.approx(fit.loss_after, abs=1e-12)


def test_monte_carlo_fit_agrees_with_a_brute_force_grid(monte_carlo):
    samples, labels = monte_carlo
    fit = fit_temperature(samples, labels)
    grid = np.exp(np.linspace(np.log(0.3), np.log(30), 400))
    losses = [mean_softmax_loss(samples, labels, temperature) for temperature in grid]
    best = int(np.argmin(losses))
    assert grid[best - 1] < fit.temperature < grid[best + 1]
    assert fit.loss_after <= losses[best]
    assert fit.loss_after == pytest.approx(mean_softmax_loss(samples, labels, fit.temperature), abs=1e-12)
    assert fit.loss_before == pytest.approx(mean_softmax_loss(samples, labels, 1.0), abs=1e-12)
    # the mean of calibrated samples is another quantity than the calibrated mean logit
    assert fit.temperature != pytest.approx(fit_temperature(samples.mean(axis=1), labels).temperature, rel=0.05)


@pytest.mark.parametrize(("sure_right", "unsure_right", "scale"), [(0.7, 0.56, 1.0), (0.6, 0.7, 0.03)])
def test_finds_the_lower_of_two_minima(sure_right, unsure_right, scale):
    # of two passes one is far too sure, the other not sure enough: one valley of the loss calms the first, the other
    # suits the second; the accuracies of the two decide which is deeper. One bounded search over the whole interval
    # ends in the wrong valley for both
    rng = np.random.default_rng(4)
    labels = rng.integers(0, 2, 2000)
    sign = np.where(labels == 1, 1.0, -1.0)[:, None] * np.where(
        rng.random((2000, 2)) < [sure_right, unsure_right], 1, -1
    )
    margin = scale * sign * [300.0, 1.0]
    samples = np.stack([np.zeros_like(margin), margin], axis=-1)
    grid = np.linspace(np.log(1e-2), np.log(1e3), 400)
    losses = np.array([temperature_loss(point, samples, labels)[0] for point in grid])
    valleys = np.flatnonzero((losses[1:-1] < losses[:-2]) & (losses[1:-1] < losses[2:])) + 1
    assert len(valleys) == 2
    fit = fit_temperature(samples, labels)
    assert fit.loss_after <= losses.min()
    assert fit.temperature == pytest.approx(np.exp(grid[losses.argmin()]), rel=0.03)


@pytest.mark.parametrize("temperature", [0.05, 0.7, 3.0, 40.0])
def test_gradient_agrees_with_finite_differences(monte_carlo, temperature):
    samples, labels = monte_carlo
    centre, step = np.log(temperature), 1e-5
    above, below = (temperature_loss(centre + sign * step, samples, labels)[0] for sign in (1, -1))
    assert temperature_loss(centre, samples, labels)[1] == pytest.approx(
        (above - below) / (2 * step), rel=1e-6, abs=1e-9
    )


def test_apply_is_the_mean_of_calibrated_samples(monte_carlo):
    samples, _ = monte_carlo
    expected = np.mean([softmax(samples[:, s] / 2.5, axis=-1) for s in range(samples.shape[1])], axis=0)
    np.testing.assert_allclose(apply_temperature(samples, 2.5), expected, atol=1e-15)
    tensor = apply_temperature(torch.from_numpy(samples).float(), 2.5)
    assert tensor.dtype == torch.float64
    np.testing.assert_allclose(tensor.numpy(), expected, atol=1e-6)


def test_apply_survives_large_logits():
    probabilities = apply_temperature(np.array([[1e5, 0.0, -1e5]], dtype=np.float32), 0.01)
    assert probabilities.tolist() == [[1.0, 0.0, 0.0]]


def test_single_pass_is_one_sample(monte_carlo):
    samples, labels = monte_carlo
    assert fit_temperature(samples[:, 0], labels) == fit_temperature(samples[:, :1], labels)
    np.testing.assert_array_equal(apply_temperature(samples[:, 0], 3.0), apply_temperature(samples[:, :1], 3.0))


def test_separable_samples_are_refused_or_flagged():
    labels = np.array([0, 1, 2] * 10)
    logits = 5 * np.eye(3)[labels]
    with pytest.raises(DataError, match=r"accuracy 100.0%.*calibrate on more"):
        fit_temperature(logits, labels)
    fit = fit_temperature(logits, labels, at_bound="keep")
    assert fit.bound == "lower"
    assert fit.temperature == pytest.approx(1e-2)


def test_conservative_never_adds_confidence_and_says_so():
    labels = np.array([0, 1, 2] * 10)
    fit = fit_temperature(5 * np.eye(3)[labels], labels, at_bound="conservative")
    assert (fit.temperature, fit.bound) == (1.0, "lower")
    assert "separated so well" in fit.caveat
    worse = fit_temperature(-3 * np.eye(3)[labels], labels, at_bound="conservative")
    assert (worse.temperature, worse.bound) == (pytest.approx(1e3), "upper")
    assert "no better than chance" in worse.caveat


def test_conservative_changes_nothing_within_the_bounds(monte_carlo):
    samples, labels = monte_carlo
    fit = fit_temperature(samples, labels, at_bound="conservative")
    assert fit == fit_temperature(samples, labels)
    assert fit.caveat is None


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_tensors_of_a_graph_and_of_any_precision_are_taken(monte_carlo, dtype):
    samples, labels = monte_carlo
    logits = torch.from_numpy(samples).to(dtype).requires_grad_()
    expected = fit_temperature(logits.detach().double().numpy(), labels)
    assert fit_temperature(logits, torch.from_numpy(labels)) == expected


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_tensors_on_a_gpu_are_taken(monte_carlo):
    samples, labels = monte_carlo
    on_gpu = torch.from_numpy(samples).cuda(), torch.from_numpy(labels).cuda()
    assert fit_temperature(*on_gpu) == fit_temperature(samples, labels)


def test_logits_against_the_labels_are_refused_or_flagged():
    labels = np.array([0, 1] * 20)
    with pytest.raises(DataError, match="no better than chance"):
        fit_temperature(-3 * np.eye(2)[labels], labels)
    assert fit_temperature(-3 * np.eye(2)[labels], labels, at_bound="keep").bound == "upper"


@pytest.mark.parametrize(
    ("logits", "labels", "message"),
    [
        (np.array([[0.0, 1.0], [np.nan, 0.0]]), [0, 1], "NaN or infinity in row 1"),
        (np.array([[0.0, 1.0], [np.inf, 0.0]]), [0, 1], "NaN or infinity in row 1"),
        (np.zeros((0, 2)), [], "validation split empty"),
        (np.ones((2, 2)), [0, 2], "from 0 to 1, found 2 in row 1"),
        (np.ones((2, 2)), [-1, 0], "found -1 in row 0"),
        (np.ones((2, 2)), [0.5, 0], "whole numbers"),
        (np.ones((3, 2)), [0, 1], "expected 3 labels"),
        (np.eye(2), [1, 1], "all 2 labels are class 1"),
        (np.ones((2, 2)), [0, 1], "does not depend on the temperature"),
        (np.ones(4), [0, 1], r"expected logits \(N, K\)"),
        (np.ones((2, 1)), [0, 0], "K >= 2"),
    ],
)
def test_bad_input_is_answered_clearly(logits, labels, message):
    with pytest.raises(DataError, match=message):
        fit_temperature(logits, np.array(labels))


@pytest.mark.parametrize("temperature", [0.0, -1.0, np.nan, np.inf])
def test_impossible_temperatures_are_refused(temperature):
    with pytest.raises(ValueError, match="positive and finite"):
        apply_temperature(np.zeros((1, 2)), temperature)


def test_fit_is_written_whole():
    fit = fit_temperature(*logits_with_temperature(2.0, n=200))
    content = json.loads(json.dumps(fit.to_dict(), allow_nan=False))
    assert TemperatureFit(temperature=content.pop("value"), **content) == fit
