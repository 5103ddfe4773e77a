"""Differences of mean F1 against scikit-learn, intervals over networks and power against closed forms."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm, ttest_1samp
from sklearn.metrics import f1_score

from shared.study.measures import Estimate


@pytest.fixture(scope="module")
def sections(scripts):
    return scripts("study.alarm_sections")


@pytest.fixture(scope="module")
def settings(scripts):
    return scripts("study.settings").read_settings("quick")


@pytest.fixture(scope="module")
def pooled(scripts, make_doubts, settings):
    pooled = scripts("study.pooled")
    fitted = pooled.fit_network(make_doubts(200, 1), settings)
    parts = []
    for number in range(3):
        applied = fitted.applied(make_doubts(90, 50 + number))
        names = {name: np.char.add(f"{number}/", getattr(applied, name)) for name in ("id", "patient")}
        parts.append(replace(applied, **names))
    return pooled.Pooled(parts, scripts("alarms.applied").pool_alarms(parts))


def mean_f1(part, prediction):
    known = ~np.isnan(part.label)
    return np.mean([f1_score(part.label[known[:, k], k], prediction[known[:, k], k]) for k in range(5)])


@pytest.mark.parametrize("alarm", ["informer_lrp", "informer_logit_lrp"])
def test_the_difference_of_each_network(sections, pooled, alarm):
    found = sections.mean_f1_differences(pooled.parts, alarm, "entropy")
    expected = [mean_f1(part, part.swapped(alarm)) - mean_f1(part, part.swapped("entropy")) for part in pooled.parts]
    np.testing.assert_allclose(found, expected)
    assert np.abs(found).max() > 0


def test_random_flags_are_dealt_at_the_alarm_s_own_rate(sections, pooled):
    """The expectation of F1's counts: F1 of the mean of many deals lies close to it."""
    part = pooled.parts[0]
    rng = np.random.default_rng(0)
    known = ~np.isnan(part.label)
    means = []
    for k in range(5):
        label, called = part.label[known[:, k], k], part.prediction[known[:, k], k]
        number = int(part.flags["informer_lrp"][known[:, k], k].sum())
        hits = calls = 0.0
        for _ in range(2000):
            dealt = rng.permutation(len(label)) < number
            swapped = np.where(dealt, 1 - called, called)
            hits, calls = hits + (swapped * label).sum() / 2000, calls + swapped.sum() / 2000
        means.append(2 * hits / (label.sum() + calls))
    expected = mean_f1(part, part.swapped("informer_lrp")) - np.mean(means)
    found = sections.mean_f1_differences([part], "informer_lrp", "random_flags")[0]
    assert found == pytest.approx(expected, abs=2e-3)


def test_the_interval_over_networks_is_student_s(sections):
    values = np.array([0.4, -0.1, 0.7, 0.2, 0.9])
    found = sections.over_networks(values, 1000)
    low, high = ttest_1samp(values, 0).confidence_interval()
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))
    assert (found.value, found.repeats, found.n) == (pytest.approx(values.mean()), 5, 1000)
    assert found.repeat_sd == pytest.approx(np.std(values, ddof=1))


def test_the_smallest_detectable_difference_has_a_power_of_80_percent(sections, pooled, settings):
    evaluated = sections.evaluate("phantoms", pooled, settings, independent=True)
    entry = evaluated.difference("informer_lrp", "entropy")
    ratio = entry["detectable"] / entry["standard_error"]
    power = norm.sf(norm.ppf(0.975) - ratio) + norm.cdf(-norm.ppf(0.975) - ratio)
    assert power == pytest.approx(0.8, abs=1e-4)
    # and in a simulation of such tests
    drawn = np.random.default_rng(0).normal(entry["detectable"], entry["standard_error"], 200_000)
    assert (np.abs(drawn) > 1.959964 * entry["standard_error"]).mean() == pytest.approx(0.8, abs=5e-3)
    rows = sections.goal_section(evaluated, settings.goal).rows
    assert len(rows) == len(settings.goal["alarms"]) * len(settings.goal["rivals"])
    row = rows[0]
    assert (
        row.cells["smallest detectable"]
        == f"{100 * evaluated.difference(settings.goal['alarms'][0], 'entropy')['detectable']:.2f}"
    )
    each = sections.mean_f1_differences(pooled.parts, settings.goal["alarms"][0], "entropy")
    assert row.cells["mean of the seeds"].value == pytest.approx(100 * each.mean())
    assert row.cells["seeds above 0"] == f"{(each > 0).sum()} of 3"


@pytest.mark.parametrize(
    ("interval", "on_phantoms", "on_real"),
    [
        ([0.1, 0.3], "met", "met"),
        ([-0.1, 0.3], "missed: not above 0", "met"),
        ([-0.3, -0.1], "missed: significantly worse", "missed: significantly worse"),
        (None, "missed: no difference", "met: no difference"),
    ],
)
def test_the_goal_is_stricter_on_phantoms(sections, interval, on_phantoms, on_real):
    entry = {"value": 0.0, "ci95": interval}
    assert sections._verdict(entry, True) == on_phantoms
    assert sections._verdict(entry, False) == on_real


def test_tables_hold_what_the_report_says(sections, pooled, settings):
    evaluated = sections.evaluate("phantoms", pooled, settings, independent=True)
    found = {row.names["alarm"]: row.cells for row in sections.finding_section(evaluated).rows}
    known = ~np.isnan(pooled.applied.label[:, 3])
    swapped = pooled.applied.swapped("entropy")[known, 3]
    edema = found["Predictive entropy"]["edema"]
    assert isinstance(edema, Estimate)
    assert edema.value == pytest.approx(f1_score(pooled.applied.label[known, 3], swapped))
    assert (edema.n, edema.repeats) == (270, 3)
    differences = {row.names["alarm"]: row.cells for row in sections.difference_section(evaluated, ["entropy"]).rows}
    assert differences["Predictive entropy"]["less predictive entropy"] == "0.000 (all resamples agree)"
    deferred = {row.names["alarm"]: row.cells for row in sections.deferral_section(evaluated).rows}
    kept = ~pooled.applied.flags["entropy"]
    shares = [kept[~np.isnan(pooled.applied.label[:, k]), k].mean() for k in range(5)]
    assert deferred["Predictive entropy"]["kept"].value == pytest.approx(np.mean(shares))
    assert {row.names["alarm"] for row in sections.alarm_section(evaluated).rows} == set(found)
