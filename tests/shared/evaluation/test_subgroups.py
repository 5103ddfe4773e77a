"""Subgroups: division of records, metrics against scikit-learn on the subset, intervals against a slow bootstrap."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, f1_score, recall_score, roc_auc_score

from shared.evaluation.bootstrap import bootstrap_weights, weighted_mean
from shared.evaluation.headline_statistics import classification_headline, multi_label_headline
from shared.evaluation.subgroups import (
    MOST_GROUPS,
    divide,
    excludes_zero,
    expected_by_chance,
    key_title,
    subgroup_metrics,
)

N = 60


@pytest.fixture
def records():
    rng = np.random.default_rng(1)
    return [
        {"sex": "FM"[i % 2], "age": float(rng.integers(20, 90)), "donor": f"D{i // 3:02d}", "id": f"s{i}"}
        for i in range(N)
    ]


def test_numbers_are_divided_at_their_tertiles(records):
    ages = np.array([record["age"] for record in records])
    low, high = np.quantile(ages, [1 / 3, 2 / 3])
    groups = divide(records, "age")
    expected = [ages <= low, (ages > low) & (ages <= high), ages > high]
    assert [group.members.tolist() for group in groups] == [part.tolist() for part in expected]
    assert sum(group.members.astype(int) for group in groups).tolist() == [1] * N


def test_values_that_are_missing_are_a_group_of_their_own():
    groups = divide([{"sex": "F"}, {"sex": None}, {}, {"sex": "M"}, {"sex": ""}], "sex")
    assert {group.name: group.members.tolist() for group in groups} == {
        "F": [True, False, False, False, False],
        "M": [False, False, False, True, False],
        "unknown": [False, True, True, False, True],
    }


def test_few_distinct_numbers_are_divided_by_value():
    assert [group.name for group in divide([{"stage": stage} for stage in (1, 2, 2, 4)], "stage")] == ["1", "2", "4"]


def _mean_metrics(records, values, **options):
    return subgroup_metrics(
        records,
        ["sex", "age"],
        lambda weights, x: weighted_mean(weights, x)[:, None],
        ["mean"],
        [values],
        resamples=200,
        seed=4,
        **options,
    )


@pytest.mark.parametrize("grouped", [False, True])
def test_intervals_are_those_of_a_slow_bootstrap(records, grouped):
    values = np.random.default_rng(2).normal(size=N)
    donors = [record["donor"] for record in records] if grouped else None
    measured = _mean_metrics(records, values, groups=donors)
    weights = np.concatenate(list(bootstrap_weights(N, 200, seed=4, groups=donors)))
    for key in ("sex", "age"):
        for entry, part in zip(measured[key]["groups"], divide(records, key), strict=True):
            inside, rest = values[part.members], values[~part.members]
            assert entry["n"] == len(inside)
            assert entry["metrics"]["mean"]["value"] == pytest.approx(inside.mean())
            assert entry["against_rest"]["mean"]["value"] == pytest.approx(inside.mean() - rest.mean())
            means, differences = [], []
            for row in weights:
                here = np.repeat(inside, row[part.members].astype(int))
                there = np.repeat(rest, row[~part.members].astype(int))
                means.append(here.mean())
                differences.append(here.mean() - there.mean())
            for name, drawn in (("metrics", means), ("against_rest", differences)):
                assert entry[name]["mean"]["ci95"] == pytest.approx(np.quantile(drawn, [0.025, 0.975]).tolist())


def test_a_true_difference_is_found_and_a_group_of_one_patient_has_no_interval(records):
    sex = np.array([record["sex"] == "F" for record in records])
    values = np.where(sex, 1.0, 0.0) + np.random.default_rng(0).normal(0, 0.1, N)
    female, male = _mean_metrics(records, values)["sex"]["groups"]
    assert female["against_rest"]["mean"]["ci95"][0] > 0.9
    assert male["against_rest"]["mean"]["ci95"][1] < -0.9
    for record in records[:3]:
        record["sex"] = "X"
    donors = [record["donor"] for record in records]
    alone = _mean_metrics(records, values, groups=donors)["sex"]["groups"][-1]
    assert alone["name"] == "X"
    assert alone["metrics"]["mean"]["reason"] == "only one group"


def test_a_difference_to_a_group_without_variance_has_no_interval():
    sexes, right = np.repeat(["F", "M"], [14, 46]), np.r_[np.ones(14), np.arange(46) % 2]
    female, male = _mean_metrics([{"sex": sex, "age": 1} for sex in sexes], right)["sex"]["groups"]
    assert female["metrics"]["mean"]["reason"] == "all resamples agree"
    assert male["metrics"]["mean"]["ci95"] is not None
    for group, sign, whose in ((female, 1, "this group"), (male, -1, "all others")):
        difference = group["against_rest"]["mean"]
        assert difference["value"] == pytest.approx(sign * 0.5)
        assert difference["ci95"] is None
        assert whose in difference["reason"]


@pytest.mark.parametrize(
    ("ends", "shown"),
    [((0.1, 0.2), True), ((-0.2, -0.1), True), ((-0.1, 0.1), False), ((0, 0.1), False), (None, False)],
)
def test_only_intervals_show_differences(ends, shown):
    assert excludes_zero(ends) is shown


def test_keys_are_named_for_readers():
    assert key_title("dry_mass_pg") == "dry mass (pg)"
    assert key_title("lymphocyte_count") == "lymphocyte count"
    assert key_title("pg") == "pg"
    assert [expected_by_chance(compared) for compared in (0, 1, 20, 40, 41)] == [0, 1, 1, 2, 3]


def test_keys_that_divide_nothing_say_why(records):
    for record in records:
        record["view"] = "PA"
    measured = subgroup_metrics(
        records, ["race", "view", "id"], lambda w, x: weighted_mean(w, x)[:, None], ["mean"], [np.ones(N)]
    )
    assert measured["race"] == {"reason": "no record says its race"}
    assert measured["view"] == {"reason": "all samples are of one view: PA"}
    assert str(N) in measured["id"]["reason"]
    assert str(MOST_GROUPS) in measured["id"]["reason"]


def test_records_and_arrays_must_agree(records):
    with pytest.raises(ValueError, match="60 records"):
        _mean_metrics(records, np.ones(N - 1))


@pytest.mark.parametrize("k", [2, 4])
def test_classification_headline_is_scikit_learns(k):
    rng = np.random.default_rng(3)
    labels = np.r_[np.arange(k), rng.integers(0, k, 40)]
    probabilities = rng.dirichlet(np.ones(k), len(labels))
    predictions = probabilities.argmax(axis=1)
    names, statistic = classification_headline("abcd"[:k], labels)
    value = dict(zip(names, statistic(np.ones((1, len(labels))), labels, predictions, probabilities)[0], strict=True))
    assert value["accuracy"] == pytest.approx((labels == predictions).mean())
    if k == 2:
        assert value["sensitivity"] == pytest.approx(recall_score(labels, predictions))
        assert value["specificity"] == pytest.approx(recall_score(labels, predictions, pos_label=0))
        assert value["roc_auc"] == pytest.approx(roc_auc_score(labels, probabilities[:, 1]))
    else:
        assert value["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(labels, predictions))
        assert value["macro_f1"] == pytest.approx(f1_score(labels, predictions, average="macro"))
        assert value["macro_roc_auc"] == pytest.approx(roc_auc_score(labels, probabilities, multi_class="ovr"))


def test_means_over_other_classes_are_not_compared():
    labels = np.array([0, 0, 1, 1, 2, 2])
    probabilities = np.eye(3)[labels]
    names, statistic = classification_headline("abc", labels)
    without = np.array([[1.0, 1, 1, 1, 0, 0]])
    value = dict(zip(names, statistic(without, labels, labels, probabilities)[0], strict=True))
    assert value["accuracy"] == 1.0
    assert [name for name in names if np.isnan(value[name])] == ["balanced_accuracy", "macro_f1", "macro_roc_auc"]


def test_multi_label_headline_is_scikit_learns_over_labels_with_both_kinds():
    rng = np.random.default_rng(5)
    labels = (rng.random((50, 3)) < 0.4).astype(float)
    labels[:, 2] = 0
    labels[:5, 0] = np.nan
    scores = rng.random((50, 3))
    called = (scores > 0.5).astype(float)
    names, statistic = multi_label_headline(labels)
    value = dict(zip(names, statistic(np.ones((1, 50)), labels, called, scores)[0], strict=True))
    known = [~np.isnan(labels[:, k]) for k in (0, 1)]
    parts = [(labels[rows, k], called[rows, k], scores[rows, k]) for k, rows in zip((0, 1), known, strict=True)]
    assert value["macro_f1"] == pytest.approx(np.mean([f1_score(y, p) for y, p, _ in parts]))
    assert value["macro_sensitivity"] == pytest.approx(np.mean([recall_score(y, p) for y, p, _ in parts]))
    assert value["macro_specificity"] == pytest.approx(np.mean([recall_score(y, p, pos_label=0) for y, p, _ in parts]))
    assert value["macro_roc_auc"] == pytest.approx(np.mean([roc_auc_score(y, s) for y, _, s in parts]))
