"""The gallery is a seeded draw within each group; the measured samples are right, known and balanced."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from shared.saliency.case_selection import choose_cases, choose_measured, watched_cases, watched_records


def make_predictions(n=200, seed=0):
    rng = np.random.default_rng(seed)
    kinds = [str(kind) if kind else None for kind in rng.choice(["", "", "", "", "empty", "blurred"], n)]
    labels = [None if kind else int(label) for kind, label in zip(kinds, rng.integers(0, 3, n), strict=True)]
    predictions = [
        int(guess) if label is None or odd else label
        for label, guess, odd in zip(labels, rng.integers(0, 3, n), rng.random(n) < 0.3, strict=True)
    ]
    return labels, predictions, kinds


def group(index, labels, predictions, kinds):
    if kinds[index] is not None:
        return kinds[index]
    return "wrong" if labels[index] != predictions[index] else labels[index]


def test_each_group_has_its_number_and_its_place():
    data = make_predictions()
    chosen = choose_cases(*data, per_class=2, wrong=3, per_kind=1, seed=0)
    expected = [0, 0, 1, 1, 2, 2, "wrong", "wrong", "wrong", "blurred", "empty"]
    assert [group(index, *data) for index in chosen] == expected
    assert len(set(chosen)) == len(chosen)


def test_the_draw_is_seeded_and_every_sample_has_its_chance():
    data = make_predictions()
    options = {"per_class": 2, "wrong": 3, "per_kind": 1}
    assert choose_cases(*data, **options, seed=5) == choose_cases(*data, **options, seed=5)
    drawn = Counter(index for seed in range(400) for index in choose_cases(*data, **options, seed=seed))
    members = [index for index in range(200) if group(index, *data) == 1]
    share = np.array([drawn[index] for index in members]) / 400
    # 2 of the members are drawn each time, uniformly: a count is binomial
    expected = 2 / len(members)
    assert share.mean() == pytest.approx(expected)
    assert np.abs(share - expected).max() < 4.5 * np.sqrt(expected * (1 - expected) / 400)


def test_small_groups_are_shown_whole_and_numbers_of_zero_leave_out():
    labels, predictions, kinds = [0, 0, 1, 1], [0, 0, 1, 0], [None] * 4
    assert choose_cases(labels, predictions, kinds, per_class=5, wrong=5, per_kind=5, seed=0) == [0, 1, 2, 3]
    assert choose_cases(labels, predictions, kinds, per_class=0, wrong=1, per_kind=0, seed=0) == [3]


def test_without_labels_the_predicted_class_counts():
    predictions = [0, 1, 1, 1, 0]
    chosen = choose_cases([None] * 5, predictions, [None] * 5, per_class=1, wrong=3, per_kind=1, seed=0)
    assert [predictions[index] for index in chosen] == [0, 1]


def test_lists_of_different_length_are_refused():
    with pytest.raises(ValueError, match="argument 2 is"):
        choose_cases([0], [0, 1], [None], per_class=1, wrong=1, per_kind=1, seed=0)


def test_only_right_predictions_with_known_truth_are_measured():
    labels, predictions, kinds = make_predictions()
    truth = (np.random.default_rng(1).random(200) < 0.5).tolist()
    allowed = {
        index for index in range(200) if kinds[index] is None and labels[index] == predictions[index] and truth[index]
    }
    assert choose_measured(labels, predictions, truth, count=1000, seed=0) == sorted(allowed)
    some = choose_measured(labels, predictions, truth, count=20, seed=0)
    assert len(some) == 20
    assert set(some) < allowed
    assert some == sorted(some) == choose_measured(labels, predictions, truth, count=20, seed=0)
    assert some != choose_measured(labels, predictions, truth, count=20, seed=1)


def test_classes_are_measured_alike_as_far_as_they_go():
    labels = [0] * 50 + [1] * 50 + [2] * 3
    chosen = choose_measured(labels, labels, [True] * 103, count=13, seed=0)
    assert Counter(labels[index] for index in chosen) == {0: 5, 1: 5, 2: 3}
    assert choose_measured(labels, labels, [True] * 103, count=0, seed=0) == []


def test_watched_samples_are_of_each_class_and_found_again():
    labels, *_ = make_predictions()
    chosen = watched_cases(labels, per_class=2, seed=4)
    assert [labels[index] for index in chosen] == [0, 0, 1, 1, 2, 2]
    assert chosen == watched_cases(labels, per_class=2, seed=4) != watched_cases(labels, per_class=2, seed=5)
    assert watched_cases([None, None]) == []
    records = [{"id": i} | ({} if label is None else {"label": label}) for i, label in enumerate(labels)]
    marked = watched_records(records, per_class=2, seed=4)
    assert [(record["id"], record["watched"]) for record in marked] == [(index, True) for index in chosen]
    besides = watched_records(records, per_class=2, seed=4, besides=records[: chosen[0] + 1])
    assert [record["id"] for record in besides] == [index for index in chosen if index > chosen[0]]
    assert "watched" not in records[chosen[0]]
