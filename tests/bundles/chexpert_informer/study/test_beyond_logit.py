"""Forecasts against scikit-learn, and what is known beyond the logit where that is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss


@pytest.fixture(scope="module")
def beyond(scripts):
    return scripts("study.beyond_logit")


def told(table, seed):
    """The same table with a spread that tells the first finding's label, and of the others nothing."""
    spread = np.random.default_rng(seed).normal(1, 0.2, (len(table), 5))
    spread[:, 0] += np.nan_to_num(table.label[:, 0])
    return replace(table, tta_std=spread)


def test_forecast_is_a_logistic_regression_of_standardised_features(beyond, make_doubts):
    validation, test = make_doubts(200, 0), make_doubts(50, 1)
    information = beyond.further_information(["lrp"], ["mc_std"])["spread of Monte Carlo dropout"]
    found = beyond.forecasts(validation, test, information)
    for k in range(5):
        columns = [
            np.column_stack([t.logits[:, k], t.mc_std[:, k], t.mc_std[:, k] * t.logits[:, k]])
            for t in (validation, test)
        ]
        known = ~np.isnan(validation.label[:, k])
        centre, spread = columns[0][known].mean(axis=0), columns[0][known].std(axis=0)
        fitted, tested = ((values - centre) / spread for values in columns)
        model = LogisticRegression(max_iter=1000).fit(fitted[known], validation.label[known, k])
        np.testing.assert_allclose(found[:, k], tested @ model.coef_[0] + model.intercept_[0], atol=1e-6)


def test_a_finding_without_two_classes_keeps_its_logit(beyond, make_doubts):
    validation, test = make_doubts(100, 0), make_doubts(20, 1)
    label = validation.label.copy()
    label[:, 2] = 0
    information = beyond.further_information([], [])["logits of the other findings (control)"]
    found = beyond.forecasts(replace(validation, label=label), test, information)
    np.testing.assert_array_equal(found[:, 2], test.logits[:, 2])
    assert not np.allclose(found[:, 1], test.logits[:, 1])


@pytest.mark.filterwarnings("error")
def test_what_is_missing_counts_as_the_mean_of_the_validation_images(beyond, make_doubts):
    validation, test = make_doubts(100, 0), make_doubts(20, 1)
    holes = np.random.default_rng(0).random(100) < 0.3

    def with_holes(table, finding):
        values = table.mc_std[:, [finding]].copy()
        values[holes[: len(table)]] = np.nan
        return np.column_stack([values, np.full(len(table), np.nan)])

    def filled(table, finding):
        values = with_holes(table, finding)[:, 0]
        return np.where(np.isnan(values), np.nanmean(with_holes(validation, finding)[:, 0]), values)[:, None]

    found, expected = (beyond.forecasts(validation, test, part) for part in (with_holes, filled))
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert not np.allclose(found, beyond.forecasts(validation, test, lambda t, _: np.empty((len(t), 0))))


def test_log_likelihood(beyond):
    odds, label = np.array([0.3, -2.0, 40.0, 1.0]), np.array([1.0, 0.0, 0.0, np.nan])
    found = beyond.log_likelihood(odds, label)
    assert np.isnan(found[3])
    assert -found[:2].mean() == pytest.approx(log_loss(label[:2], expit(odds[:2])))
    assert found[2] == pytest.approx(-40)


def test_what_tells_the_label_gains_and_noise_does_not(beyond, make_doubts):
    tables = [(told(make_doubts(300, seed), seed), told(make_doubts(150, 90 + seed), 90 + seed)) for seed in (1, 2)]
    patients = np.concatenate([np.char.add(f"{n}/", test.patient) for n, (_, test) in enumerate(tables)])
    section = beyond.beyond_logit_section("phantoms", tables, patients, 200)
    cells = {row.names["beside the logit"]: row.cells for row in section.rows}
    assert len(cells) == 1 + 2 + 2 * 2  # other logits, two draws, two features of two methods
    telling = cells["spread of test-time augmentation"]
    assert telling["gain of AUC"].low > 0
    assert telling["gain of log-likelihood"].low > 0
    noise = cells["spread of Monte Carlo dropout"]["gain of AUC"]
    assert noise.low < 0 < noise.high or abs(noise.value) < 1
    assert (noise.n, noise.repeats) == (300, 2)
