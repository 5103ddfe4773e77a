"""Proportions on which all resamples agree have the Wilson interval of what was drawn, and nothing else has."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest

from shared.evaluation.binary import binary_metrics
from shared.evaluation.classification import classification_metrics
from shared.evaluation.headline_statistics import classification_headline, headline_proportions
from shared.evaluation.multi_label import multilabel_metrics
from shared.evaluation.proportion import count_units
from shared.evaluation.proportion_entry import proportion_entry
from shared.evaluation.subgroups import subgroup_metrics
from shared.evaluation.time_saving import measure_time_saving

AGREED = {"value": 1.0, "ci95": None, "reason": "all resamples agree"}


def wilson(successes, n):
    found = binomtest(successes, n).proportion_ci(method="wilson")
    return pytest.approx([found.low, found.high])


def is_wilson(entry, successes, n, over):
    assert entry["ci95"] == wilson(successes, n)
    assert entry["interval"] == f"Wilson over {over}"
    assert "reason" not in entry


def test_units_are_samples_or_the_groups_that_have_one():
    counted = [True, False, True, True, False]
    assert count_units(counted) == 3
    assert count_units(counted, ["a", "b", "c", "c", "d"]) == 2


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_proportion_of_nothing_or_all(value):
    entry = proportion_entry(AGREED | {"value": value}, np.ones(5, dtype=bool))
    is_wilson(entry, int(5 * value), 5, "5 samples")
    one = proportion_entry(AGREED, [True, False], ["a", "b"], "patient")
    assert one["interval"] == "Wilson over 1 patient"


@pytest.mark.parametrize(
    "entry",
    [
        {"value": 0.9, "ci95": [0.8, 1.0]},
        {"value": 0.5, "ci95": None, "reason": "all resamples agree"},
        {"value": 1.0, "ci95": None, "reason": "only one group"},
        {"value": float("nan"), "ci95": [float("nan")] * 2},
    ],
)
def test_any_other_number_stays_as_it_is(entry):
    assert proportion_entry(entry, np.ones(5, dtype=bool)) is not entry
    assert {key: repr(value) for key, value in proportion_entry(entry, np.ones(5, dtype=bool)).items()} == {
        key: repr(value) for key, value in entry.items()
    }


def test_a_sensitivity_of_five_in_five_and_the_patients_that_they_are_of():
    positive = np.array([1] * 5 + [0] * 7)
    scores = np.array([0.9] * 5 + [0.1] * 6 + [0.8])
    alone = binary_metrics(positive, scores, resamples=200)
    is_wilson(alone["sensitivity"], 5, 5, "5 samples")
    assert alone["specificity"]["ci95"] != wilson(6, 7), "a bootstrap interval where there is one"
    # areas are no proportions of samples
    assert alone["roc_auc"]["reason"] == "all resamples agree"
    patients = np.array(["a", "a", "b", "b", "b", *"cdefghi"])
    whole = binary_metrics(positive, scores, resamples=200, groups=patients, unit="patient")
    is_wilson(whole["sensitivity"], 2, 2, "2 patients")


def test_classes_are_counted_each_in_its_own_denominator():
    labels, called = np.array([0] * 6 + [1] * 5 + [2] * 4), np.array([0] * 6 + [1] * 5 + [2] * 3 + [1])
    found = classification_metrics(labels, called, ["a", "b", "c"], resamples=200)
    is_wilson(found["sensitivity_a"], 6, 6, "6 samples")
    is_wilson(found["sensitivity_b"], 5, 5, "5 samples")
    is_wilson(found["specificity_c"], 11, 11, "11 samples")
    is_wilson(found["precision_c"], 3, 3, "3 samples")
    assert found["f1_a"]["reason"] == "all resamples agree"
    assert "interval" not in found["accuracy"]


def test_labels_count_where_they_are_known():
    labels = np.array([[1, 0], [1, 0], [1, np.nan], [0, 1], [np.nan, 1]])
    found = multilabel_metrics(labels, np.nan_to_num(labels), np.nan_to_num(labels), ["x", "y"], resamples=50)
    is_wilson(found["sensitivity_x"], 3, 3, "3 samples")
    is_wilson(found["specificity_y"], 2, 2, "2 samples")
    assert found["macro_sensitivity"]["reason"] == "all resamples agree"


def test_subgroups_count_their_own_samples():
    labels = np.array([0, 1] * 6)
    called, sex = labels.copy(), np.array(list("FFFFFFFFMMMM"))
    called[-1] = 0
    names, statistic = classification_headline(["a", "b"], labels)
    found = subgroup_metrics(
        [{"sex": value} for value in sex],
        ["sex"],
        statistic,
        names,
        [labels, called, np.eye(2)[called]],
        resamples=200,
        unit="patient",
        counted=headline_proportions(["a", "b"], labels),
    )
    female, male = found["sex"]["groups"]
    is_wilson(female["metrics"]["sensitivity"], 4, 4, "4 patients")
    is_wilson(female["metrics"]["accuracy"], 8, 8, "8 patients")
    assert "interval" not in male["metrics"]["accuracy"]
    assert headline_proportions(["a", "b", "c"], labels).keys() == {"accuracy"}


def test_a_share_of_accepted_cases_of_all():
    found = measure_time_saving([1] * 9, [0] * 9, resamples=20)
    is_wilson(found["accepted_share"], 9, 9, "9 samples")
    assert found["hours_saved"]["reason"] == "all resamples agree"
