"""Paired differences of two models: the numbers of each, and resamples that both share."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from shared.evaluation.classification import classification_metrics
from shared.evaluation.multi_label import multilabel_metrics
from shared.evaluation.paired_predictions import paired_differences, same_samples
from shared.evaluation.predictions import multilabel_table, predictions_table


def _table(ids, labels, scores, classes=("a", "b"), **extra):
    probabilities = np.stack([1 - scores, scores], axis=1)
    return predictions_table(
        ids=ids,
        classes=classes,
        logits=np.log(probabilities),
        probabilities=probabilities,
        predictions=[classes[int(score > 0.5)] for score in scores],
        confidence=np.abs(2 * scores - 1),
        decisions=["accept"] * len(ids),
        reasons=[""] * len(ids),
        labels=labels,
        extra=extra or None,
    )


@pytest.fixture
def pair():
    """Two models whose scores go up and down together; the second is a little better; an outlier has no label."""
    generator = np.random.default_rng(0)
    truth = np.arange(80) % 2
    common = generator.normal(size=80)
    ids = [f"s{place:02d}" for place in range(80)]
    labels = ["" if place == 79 else "ab"[label] for place, label in enumerate(truth)]
    donors = [f"d{place // 4}" for place in range(80)]
    scores = [1 / (1 + np.exp(-(gain * (truth - 0.5) + common))) for gain in (1.0, 1.6)]
    first, second = (_table(ids, labels, score, donor=donors) for score in scores)
    return first, second.iloc[::-1].reset_index(drop=True), truth[:79], [score[:79] for score in scores]


def test_differences_are_those_of_the_metrics_whatever_the_order_of_the_rows(pair):
    first, second, truth, scores = pair
    found = paired_differences(first, second, resamples=50)
    for name in ("accuracy", "macro_f1", "f1_b"):
        values = [
            classification_metrics(truth, (score > 0.5).astype(int), ["a", "b"], resamples=1)[name]["value"]
            for score in scores
        ]
        assert found[name]["value"] == pytest.approx(values[1] - values[0])
    assert found["roc_auc"]["value"] == pytest.approx(roc_auc_score(truth, scores[1]) - roc_auc_score(truth, scores[0]))


def test_the_interval_is_that_of_resamples_which_both_share(pair):
    first, second, truth, scores = pair
    low, high = paired_differences(first, second, resamples=2000)["accuracy"]["ci95"]
    generator = np.random.default_rng(5)
    right = [(score > 0.5) == truth for score in scores]
    drawn = generator.integers(0, 79, size=(4000, 79))
    differences = right[1][drawn].mean(axis=1) - right[0][drawn].mean(axis=1)
    assert (low, high) == pytest.approx(np.quantile(differences, [0.025, 0.975]), abs=0.02)
    whole = paired_differences(first, second, "donor", resamples=200)["accuracy"]["ci95"]
    assert whole != [low, high]


def test_what_makes_a_sample_hard_for_both_cancels(pair):
    first, second, truth, scores = pair
    low, high = paired_differences(first, second)["roc_auc"]["ci95"]
    single = [
        classification_metrics(truth, (score > 0.5).astype(int), ["a", "b"], np.stack([1 - score, score], axis=1))[
            "roc_auc_b"
        ]["ci95"]
        for score in scores
    ]
    assert low > 0
    assert high - low < min(ends[1] - ends[0] for ends in single)


def test_several_labels_are_compared_label_by_label():
    generator = np.random.default_rng(1)
    labels = np.where(generator.random((60, 2)) < 0.1, np.nan, generator.integers(0, 2, (60, 2)))
    scores = [generator.random((60, 2)) for _ in range(2)]
    tables = [
        multilabel_table(
            ids=[str(place) for place in range(60)],
            classes=["x", "y"],
            logits=score,
            probabilities=score,
            predictions=score > 0.5,
            confidence=score,
            decisions=np.full((60, 2), "accept"),
            predictions_after_alarm=score > 0.5,
            reasons=[""] * 60,
            labels=labels,
        )
        for score in scores
    ]
    found = paired_differences(*tables, resamples=20)
    values = [multilabel_metrics(labels, score > 0.5, score, ["x", "y"], resamples=1) for score in scores]
    for name in ("macro_f1", "roc_auc_x", "sensitivity_y"):
        assert found[name]["value"] == pytest.approx(values[1][name]["value"] - values[0][name]["value"])


def test_other_samples_or_labels_are_not_paired(pair):
    first, second, *_ = pair
    assert same_samples(first, second)
    assert not same_samples(first, second.iloc[:40])
    other = second.copy()
    other.loc[5, "label"] = "a" if other.loc[5, "label"] == "b" else "b"
    assert not same_samples(first, other)
    with pytest.raises(ValueError, match="not of the same samples"):
        paired_differences(first, other)
