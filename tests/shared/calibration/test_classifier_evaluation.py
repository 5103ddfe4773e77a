"""The numbers of an evaluation are scikit-learn's and those of the definitions."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm
from sklearn import metrics as sk

from shared.calibration.calibration_error import top_label_calibration_error
from shared.calibration.classifier_evaluation import (
    evaluate_predictions,
)
from shared.calibration.output_collector import CollectedOutputs
from shared.data.errors import DataError
from tests.shared.calibration.collected_samples import CLASSES, make_collected


@pytest.fixture(autouse=True)
def few_donors_will_do(monkeypatch):
    """The sets here are small: resample donors however few they are."""
    monkeypatch.setattr("shared.evaluation.resampling_groups.MINIMUM_GROUPS", 1)


def wilson(count, total):
    """Wilson 1927, "Probable inference, the law of succession, and statistical inference"."""
    z, p = norm.ppf(0.975), count / total
    middle = (p + z**2 / (2 * total)) / (1 + z**2 / total)
    half = z / (1 + z**2 / total) * np.sqrt(p * (1 - p) / total + z**2 / (4 * total**2))
    return [middle - half, middle + half]


@pytest.fixture(scope="module")
def collected():
    return make_collected()


@pytest.fixture(scope="module")
def measured(collected):
    return evaluate_predictions(collected, CLASSES, resamples=200, n_bins=10, target_risks=[0.05, 0.2])


@pytest.fixture(scope="module")
def labelled(collected):
    """Labels and columns of the labelled samples, picked out one by one."""
    rows = [index for index, record in enumerate(collected.records) if "label" in record]
    labels = np.array([collected.records[index]["label"] for index in rows])
    return labels, {name: values[rows] for name, values in collected.outputs.items()}


def test_classification_is_that_of_scikit_learn(measured, labelled):
    labels, columns = labelled
    predicted, probabilities = columns["prediction"], columns["probabilities"]
    assert measured["n"] == 120
    values = {name: entry["value"] for name, entry in measured["metrics"].items()}
    assert values["accuracy"] == pytest.approx(sk.accuracy_score(labels, predicted))
    assert values["balanced_accuracy"] == pytest.approx(sk.balanced_accuracy_score(labels, predicted))
    assert values["macro_f1"] == pytest.approx(sk.f1_score(labels, predicted, average="macro"))
    assert values["macro_roc_auc"] == pytest.approx(sk.roc_auc_score(labels, probabilities, multi_class="ovr"))
    precision, recall, f1, _ = sk.precision_recall_fscore_support(labels, predicted)
    for index, name in enumerate(CLASSES):
        assert values[f"precision_{name}"] == pytest.approx(precision[index])
        assert values[f"sensitivity_{name}"] == pytest.approx(recall[index])
        assert values[f"f1_{name}"] == pytest.approx(f1[index])
    np.testing.assert_array_equal(measured["confusion_matrix"], sk.confusion_matrix(labels, predicted))
    low, high = measured["metrics"]["accuracy"]["ci95"]
    assert low < values["accuracy"] < high


def test_calibration_is_measured_before_and_after(measured, labelled):
    labels, columns = labelled
    for key, column in (("before", "uncalibrated_probabilities"), ("after", "probabilities")):
        report = measured["calibration"][key]
        expected = top_label_calibration_error(columns[column], labels, n_bins=10)
        assert report["top_label_l1_equal_width"]["value"] == pytest.approx(expected)
        assert report["negative_log_likelihood"]["value"] == pytest.approx(sk.log_loss(labels, columns[column]))


def test_shares_carry_wilson_intervals(measured, labelled):
    labels, columns = labelled
    kept = [decision in ("accept", "defer") for decision in columns["decision"]]
    accepted = [decision == "accept" for decision in columns["decision"]]
    right = [a and p == t for a, p, t in zip(accepted, columns["prediction"], labels, strict=True)]
    assert 0 < sum(right) < sum(accepted) < sum(kept) < 120
    for name, count, total in (
        ("kept_share", sum(kept), 120),
        ("accepted_share", sum(accepted), 120),
        ("accepted_accuracy", sum(right), sum(accepted)),
    ):
        entry = measured["metrics"][name]
        assert entry["value"] == pytest.approx(count / total)
        assert entry["ci95"] == pytest.approx(wilson(count, total))


def test_selective_prediction_uses_the_confidence(measured, labelled):
    labels, columns = labelled
    wrong = columns["prediction"] != labels
    order = np.argsort(-columns["confidence"])
    risks = np.cumsum(wrong[order]) / np.arange(1, 121)
    assert measured["selective"]["aurc"]["value"] == pytest.approx(risks.mean())
    at = {entry["target_risk"]: entry["value"] for entry in measured["selective"]["coverage_at_risk"]}
    for target in (0.05, 0.2):
        assert at[target] == pytest.approx((np.flatnonzero(risks <= target).max() + 1) / 120)


def test_each_kind_of_outlier_is_measured_against_the_labelled(measured, collected, labelled):
    _, inliers = labelled
    assert list(measured["outliers"]) == ["blurred", "empty"]
    for kind, number in (("empty", 10), ("blurred", 14)):
        rows = [index for index, record in enumerate(collected.records) if record.get("kind") == kind]
        entry = measured["outliers"][kind]
        # caught is what is rejected, whether for its score or for its confidence
        caught = sum(collected.outputs["decision"][index] == "reject" for index in rows)
        assert 0 < caught < number
        assert (entry["n"], entry["caught"]) == (number, pytest.approx(caught / number))
        assert entry["ci95"] == pytest.approx(wilson(caught, number))
        assert set(entry["auroc"]) == {"score", "energy"} == set(entry["fpr95"])
        for score in ("score", "energy"):
            values = collected.outputs[f"outlier_{score}"]
            truth = np.repeat([0, 1], [120, number])
            both = np.concatenate([inliers[f"outlier_{score}"], values[rows]])
            assert entry["auroc"][score] == pytest.approx(sk.roc_auc_score(truth, both))
            reached = np.sort(values[rows])[number - int(np.ceil(0.95 * number))]
            assert entry["fpr95"][score] == pytest.approx((inliers[f"outlier_{score}"] >= reached).mean())


def test_a_rejection_for_low_confidence_counts_as_caught(collected):
    rows = [record.get("kind") == "empty" for record in collected.records]
    decision = collected.outputs["decision"].copy()
    decision[rows] = "reject"
    changed = CollectedOutputs(collected.records, {**collected.outputs, "decision": decision})
    outliers = evaluate_predictions(changed, CLASSES, resamples=20)["outliers"]
    assert outliers["empty"]["caught"] == 1
    assert outliers["empty"]["ci95"] == pytest.approx(wilson(10, 10))


def test_the_kind_of_a_labelled_sample_makes_it_no_outlier(collected, measured):
    records = [{**record, "kind": "micro"} if "label" in record else record for record in collected.records]
    changed = evaluate_predictions(CollectedOutputs(records, collected.outputs), CLASSES, resamples=200)
    assert changed["outliers"] == measured["outliers"]
    assert changed["n"] == measured["n"]


def test_whole_donors_are_resampled(collected, measured):
    grouped = evaluate_predictions(collected, CLASSES, resamples=200, group_key="donor")
    assert measured["resampled"] == {"by": "sample", "n": 120}
    assert grouped["resampled"] == {"by": "donor", "n": 5}
    assert grouped["metrics"]["accuracy"]["value"] == measured["metrics"]["accuracy"]["value"]
    assert grouped["metrics"]["accuracy"]["ci95"] != measured["metrics"]["accuracy"]["ci95"]


def test_records_without_donors_are_resampled_one_by_one_and_it_is_said(collected, measured):
    first = next(index for index, record in enumerate(collected.records) if "label" in record)
    records = [dict(record) for record in collected.records]
    del records[first]["donor"]
    changed = CollectedOutputs(records, collected.outputs)
    fallen = evaluate_predictions(changed, CLASSES, resamples=200, n_bins=10, group_key="donor")
    assert fallen["resampled"]["by"] == "sample"
    assert f"1 of 120 records have no 'donor', the first is '{records[first]['id']}'" in fallen["resampled"]["warning"]
    assert fallen["metrics"] == measured["metrics"]


def test_one_donor_gives_no_interval(collected):
    records = [record | ({"donor": "D0"} if "label" in record else {}) for record in collected.records]
    alone = evaluate_predictions(
        CollectedOutputs(records, collected.outputs), CLASSES, resamples=20, group_key="donor", target_risks=[0.2]
    )
    assert alone["resampled"] == {"by": "donor", "n": 1}
    after = alone["calibration"]["after"]
    entries = [
        *(entry for name, entry in alone["metrics"].items() if not name.startswith(("kept", "accepted"))),
        *(entry for entry in after.values() if isinstance(entry, dict) and "value" in entry),
        alone["selective"]["aurc"],
        *alone["selective"]["coverage_at_risk"],
    ]
    assert len(entries) > 30
    assert {entry["ci95"] for entry in entries} == {None}
    assert {entry["reason"] for entry in entries} == {"only one group"}
    assert after["top_label_l1_equal_width"]["null_band"][0] > 0  # labels are drawn, not donors


def test_there_must_be_labelled_samples():
    with pytest.raises(DataError, match="no labelled sample"):
        evaluate_predictions(make_collected(count=0), CLASSES)


def two_classes(count=80, seed=3):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, count)
    second = 1 / (1 + np.exp(-rng.normal(2.0 * labels - 1, 1.5)))
    probabilities = np.stack([1 - second, second], axis=1)
    collected = make_collected(count, outliers=())
    columns = collected.outputs | {
        "probabilities": probabilities,
        "uncalibrated_probabilities": probabilities,
        "prediction": probabilities.argmax(axis=1),
        "median": probabilities,
        "standard_deviation": probabilities * 0.1,
    }
    records = [{"id": f"P{index}", "label": int(label)} for index, label in enumerate(labels)]
    return CollectedOutputs(records, columns), labels, second


def test_of_two_classes_the_second_is_the_one_to_be_found():
    collected, labels, second = two_classes()
    measured = evaluate_predictions(collected, ["reactive", "tumoral"], resamples=50)
    assert measured["positive_class"] == "tumoral"
    values = {name: entry["value"] for name, entry in measured["metrics"].items()}
    assert values["sensitivity"] == pytest.approx(sk.recall_score(labels, second > 0.5))
    assert values["specificity"] == pytest.approx(sk.recall_score(labels == 0, second <= 0.5))
    assert values["roc_auc"] == pytest.approx(sk.roc_auc_score(labels, second))
    assert values["balanced_accuracy"] == pytest.approx((values["sensitivity"] + values["specificity"]) / 2)
    assert values["average_precision"] == pytest.approx(sk.average_precision_score(labels, second))
    assert measured["precision_recall_curve"]["operating_point"]["recall"] == values["sensitivity"]
    point = measured["roc_curve"]["operating_point"]
    assert point["true_positive_rate"] == values["sensitivity"]
    assert point["false_positive_rate"] == pytest.approx(1 - values["specificity"])


def test_more_classes_have_none_to_be_found(measured):
    assert "positive_class" not in measured
    assert "sensitivity" not in measured["metrics"]


def test_subgroups_are_those_of_the_records(collected, measured, labelled):
    changed = CollectedOutputs(
        [record | {"sex": "FM"[index % 2]} for index, record in enumerate(collected.records)], collected.outputs
    )
    groups = evaluate_predictions(changed, CLASSES, resamples=50, subgroup_keys=["sex", "age"])["subgroups"]
    assert groups["age"] == {"reason": "no record says its age"}
    labels, columns = labelled
    female = np.array([i % 2 == 0 for i, record in enumerate(collected.records) if "label" in record])
    right = labels == columns["prediction"]
    for entry, members in zip(groups["sex"]["groups"], (female, ~female), strict=True):
        assert entry["n"] == members.sum()
        assert entry["metrics"]["accuracy"]["value"] == pytest.approx(right[members].mean())
    assert measured["subgroups"] == {}
