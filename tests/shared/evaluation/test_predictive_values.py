"""Predictive values against counted populations, and the paper's clinical reading."""

from __future__ import annotations

import numpy as np
import pytest

from shared.evaluation.predictive_values import additional_cases, predictive_value_table, predictive_values


@pytest.mark.parametrize("prevalence", [0.001, 0.1, 0.5, 0.93])
def test_predictive_values_of_a_population_that_is_counted(prevalence):
    n, sensitivity, specificity = 1_000_000, 0.69, 0.514
    ill = round(n * prevalence)
    hits, alarms = sensitivity * ill, (1 - specificity) * (n - ill)
    cleared, missed = specificity * (n - ill), (1 - sensitivity) * ill
    ppv, npv = predictive_values(sensitivity, specificity, prevalence)
    assert ppv == pytest.approx(hits / (hits + alarms))
    assert npv == pytest.approx(cleared / (cleared + missed))


def test_a_test_that_calls_nothing_has_no_positive_predictive_value():
    ppv, npv = predictive_values([0.0, 1.0], [1.0, 0.0], 0.2)
    np.testing.assert_array_equal(np.isnan(ppv), [True, False])
    np.testing.assert_array_equal(np.isnan(npv), [False, True])
    assert ppv[1] == 0.2
    assert npv[0] == 0.8


def test_table_carries_the_bootstrap_over():
    rng = np.random.default_rng(0)
    sensitivity, specificity = rng.uniform(0.6, 0.8, 501), rng.uniform(0.7, 0.9, 501)
    rows = predictive_value_table(sensitivity, specificity, [0.02, 0.2])
    assert [row["prevalence"] for row in rows] == [0.02, 0.2]
    ppv, _ = predictive_values(sensitivity, specificity, 0.2)
    assert rows[1]["ppv"]["value"] == ppv[0]
    assert rows[1]["ppv"]["ci95"] == np.quantile(ppv[1:], [0.025, 0.975]).tolist()


def test_additional_cases_as_in_the_paper():
    # sensitivities 0.690 and 0.724 of 1.5 million cases: 1,035,000 and 1,086,000 found
    reading = additional_cases(0.724 - 0.690, 1_500_000, (-0.01, 0.08))
    assert reading["cases"]["value"] == pytest.approx(1_086_000 - 1_035_000)
    assert reading["cases"]["ci95"] == pytest.approx([-15_000, 120_000])


def test_arguments_are_checked():
    with pytest.raises(ValueError, match="specificity"):
        predictive_values(0.5, 1.2, 0.1)
    with pytest.raises(ValueError, match="prevalence"):
        predictive_values(0.5, 0.5, np.nan)
    with pytest.raises(ValueError, match="difference"):
        additional_cases(1.5, 10)
    with pytest.raises(ValueError, match="incidence"):
        additional_cases(0.1, -1)
