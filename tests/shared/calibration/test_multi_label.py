import json

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from shared.calibration.multi_label import (
    PlattFit,
    apply_label_temperatures,
    apply_platt,
    fit_label_temperatures,
    fit_platt,
    platt_loss,
)
from shared.data.errors import DataError


@pytest.fixture
def problem():
    """Logits of three labels with true slopes and intercepts; a third of the labels is unknown."""
    rng = np.random.default_rng(0)
    logits = rng.normal([1, -2, 0], [3, 8, 0.5], size=(3000, 3))
    probability = expit(np.array([0.5, 0.2, 4.0]) * logits + np.array([0.3, -0.5, 1.0]))
    labels = (rng.random(logits.shape) < probability).astype(float)
    labels[rng.random(labels.shape) < 1 / 3] = np.nan
    return logits, labels


def test_label_temperatures_minimise_the_binary_loss(problem):
    logits, labels = problem
    for index, fit in enumerate(fit_label_temperatures(logits, labels)):
        known = ~np.isnan(labels[:, index])
        z, y = logits[known, index], labels[known, index]

        def loss(temperature, z=z, y=y):
            p = expit(z / temperature)
            return -(y * np.log(p) + (1 - y) * np.log1p(-p)).mean()

        assert fit.n == known.sum()
        assert fit.loss_before == pytest.approx(loss(1.0))
        assert fit.loss_after == pytest.approx(loss(fit.temperature))
        assert loss(fit.temperature) < min(loss(fit.temperature * 1.01), loss(fit.temperature / 1.01))


def test_label_temperatures_recover_the_truth():
    rng = np.random.default_rng(1)
    calibrated = 2 * rng.normal(size=(40_000, 2))
    labels = (rng.random(calibrated.shape) < expit(calibrated)).astype(float)
    fits = fit_label_temperatures(calibrated * [3.01, 20.0], labels)
    np.testing.assert_allclose([fit.temperature for fit in fits], [3.01, 20.0], rtol=0.03)


def test_unknown_labels_change_nothing(problem):
    logits, labels = problem
    known = ~np.isnan(labels[:, 0])
    alone = fit_label_temperatures(logits[known, :1], labels[known, :1])[0]
    assert fit_label_temperatures(logits, labels)[0] == alone
    assert fit_platt(logits, labels)[0] == fit_platt(logits[known, :1], labels[known, :1])[0]


def test_apply_label_temperatures_is_the_mean_sigmoid():
    samples = 3 * np.random.default_rng(2).normal(size=(5, 4, 2))
    expected = expit(samples / np.array([2.0, 5.0])).mean(axis=1)
    np.testing.assert_allclose(apply_label_temperatures(samples, [2.0, 5.0]), expected, atol=1e-15)
    with pytest.raises(ValueError, match="2 temperatures, one per label"):
        apply_label_temperatures(samples, [1.0])


def test_monte_carlo_label_temperature_agrees_with_a_grid():
    rng = np.random.default_rng(3)
    centre = 4 * rng.normal(size=(300, 1))
    samples = (centre + 3 * rng.normal(size=(300, 9)))[..., None]
    labels = (rng.random((300, 1)) < expit(centre / 3)).astype(float)
    fit = fit_label_temperatures(samples, labels)[0]
    grid = np.linspace(0.5, 8, 1501)
    p = expit(samples[None, ..., 0] / grid[:, None, None]).mean(axis=2)
    loss = -np.where(labels[:, 0] == 1, np.log(p), np.log1p(-p)).mean(axis=1)
    assert fit.temperature == pytest.approx(grid[loss.argmin()], abs=0.006)
    assert fit.samples == 9


def test_platt_without_smoothing_is_logistic_regression(problem):
    logits, labels = problem
    fits = fit_platt(logits, labels, smooth_targets=False)
    for index, fit in enumerate(fits):
        known = ~np.isnan(labels[:, index])
        reference = LogisticRegression(C=1e12, tol=1e-10, max_iter=10_000)
        reference.fit(logits[known, index : index + 1], labels[known, index])
        assert fit.slope == pytest.approx(reference.coef_.item(), rel=1e-4)
        assert fit.intercept == pytest.approx(reference.intercept_.item(), rel=1e-3, abs=1e-4)
    assert [fit.slope for fit in fits] == pytest.approx([0.5, 0.2, 4.0], rel=0.2)
    probabilities = apply_platt(logits, fits)
    expected = np.stack([expit(f.slope * z + f.intercept) for f, z in zip(fits, logits.T, strict=True)], 1)
    np.testing.assert_allclose(probabilities, expected, atol=1e-15)


def test_platt_smooths_targets_as_published():
    logit = np.array([[-3.0], [-1.0], [1.0], [2.0], [4.0]])
    label = np.array([[0.0], [0.0], [1.0], [1.0], [1.0]])
    fit = fit_platt(logit, label)[0]
    target = np.where(label[:, 0] == 1, 4 / 5, 1 / 4)

    def loss(parameters):
        p = expit(parameters[0] * logit[:, 0] + parameters[1])
        return -(target * np.log(p) + (1 - target) * np.log(1 - p)).mean()

    reference = minimize(loss, [0.0, 0.0], method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-14})
    assert [fit.slope, fit.intercept] == pytest.approx(reference.x, abs=1e-5)
    assert fit.loss_after == pytest.approx(reference.fun, abs=1e-10)
    assert fit.loss_before == pytest.approx(loss([1.0, 0.0]))
    assert (fit.n, fit.n_positive) == (5, 3)
    assert fit.gradient < 1e-8
    with pytest.raises(DataError, match=r"label 0: .*smooth_targets=True"):
        fit_platt(logit, label, smooth_targets=False)


def test_platt_gradient_agrees_with_finite_differences():
    rng = np.random.default_rng(5)
    logit, target, at, step = rng.normal(size=20), rng.random(20), np.array([0.7, -0.3]), 1e-6
    numeric = [
        (platt_loss(at + step * axis, logit, target)[0] - platt_loss(at - step * axis, logit, target)[0]) / (2 * step)
        for axis in np.eye(2)
    ]
    np.testing.assert_allclose(platt_loss(at, logit, target)[1], numeric, rtol=1e-6)


def test_platt_copes_with_the_scale_and_offset_of_the_logits():
    rng = np.random.default_rng(6)
    logit = rng.normal(size=(500, 1))
    label = (rng.random((500, 1)) < expit(2 * logit)).astype(float)
    plain, moved = fit_platt(logit, label)[0], fit_platt(1e4 * logit + 3e5, label)[0]
    assert moved.slope * 1e4 == pytest.approx(plain.slope, rel=1e-6)
    assert moved.loss_after == pytest.approx(plain.loss_after, abs=1e-10)
    inverted = fit_platt(-logit, label)[0]
    assert inverted.slope == pytest.approx(-plain.slope, rel=1e-6)


@pytest.mark.parametrize(
    ("logits", "labels", "message"),
    [
        ([[1.0], [2.0]], [[1.0], [np.nan]], "label 0: 1 positive and 0 negative"),
        ([[1.0], [2.0]], [[1.0], [2.0]], "0, 1 or NaN .* found 2"),
        ([[1.0], [np.nan]], [[1.0], [0.0]], "infinity in row 1"),
        ([[1.0, 2.0]], [[1.0]], r"expected logits \(N, L\)"),
        ([[1.0], [1.0]], [[1.0], [0.0]], "label 0: all 2 logits are 1"),
        (np.zeros((2, 3, 1)), [[1.0], [0.0]], "single-pass"),
    ],
)
def test_bad_input_to_platt_is_answered_clearly(logits, labels, message):
    with pytest.raises(DataError, match=message):
        fit_platt(np.array(logits), np.array(labels))


def test_label_temperature_names_the_label_at_fault():
    logits = np.array([[2.0, 1.0], [-2.0, 1.0], [1.0, 1.0], [-1.0, 1.0]])
    labels = np.array([[1.0, 0.0], [0.0, 0.0], [0.0, np.nan], [1.0, np.nan]])
    with pytest.raises(DataError, match="label 1: all 2 labels are class 0"):
        fit_label_temperatures(logits, labels)


def test_a_platt_fit_is_written_whole(problem):
    fit = fit_platt(*problem)[0]
    assert PlattFit(**json.loads(json.dumps(fit.to_dict(), allow_nan=False))) == fit
