from __future__ import annotations

import itertools

import numpy as np
import pytest

from shared.data.errors import DataError
from shared.data.split_advice import SplitWords
from shared.data.splits import check_group_disjoint, split_by_group, split_records, with_calibration

FRACTIONS = {"training": 0.7, "validation": 0.2, "test": 0.1}


def _cohort(n_groups, n_classes, seed):
    rng = np.random.default_rng(seed)
    groups, labels = [], []
    for group in range(n_groups):
        for label in range(n_classes):
            n = int(rng.integers(3, 12))
            groups += [f"D{group:02d}"] * n
            labels += [label] * n
    return groups, np.array(labels)


def _chi_square(split, labels, fractions):
    """Distance of the class counts of each split from their expectation, written out."""
    total = 0.0
    for name, fraction in fractions.items():
        for label in np.unique(labels):
            expected = fraction * np.sum(labels == label)
            total += (np.sum(labels[split[name]] == label) - expected) ** 2 / expected
    return total


@pytest.mark.parametrize("seed", range(3))
def test_every_record_is_in_one_split_and_every_group_too(seed):
    groups, labels = _cohort(15, 4, seed)
    split = split_by_group(groups, labels, FRACTIONS, seed)
    assert list(split) == list(FRACTIONS)
    assert sorted(np.concatenate(list(split.values()))) == list(range(len(groups)))
    members = [{groups[index] for index in indices} for indices in split.values()]
    assert all(a.isdisjoint(b) for a, b in itertools.combinations(members, 2))
    assert all(set(labels[indices]) == {0, 1, 2, 3} for indices in split.values())


def test_small_cohort_reaches_the_optimum_of_all_assignments_with_its_cuts():
    groups, labels = _cohort(7, 3, seed=5)
    fractions = {"training": 0.6, "test": 0.4}
    found = split_by_group(groups, labels, fractions, seed=0)
    names = np.unique(groups)
    best = np.inf
    for chosen in itertools.product([0, 1], repeat=len(names)):
        of_record = np.array([chosen[np.flatnonzero(names == group)[0]] for group in groups])
        split = {"training": np.flatnonzero(of_record == 0), "test": np.flatnonzero(of_record == 1)}
        if all(set(labels[indices]) == {0, 1, 2} for indices in split.values()):
            best = min(best, _chi_square(split, labels, fractions))
    assert _chi_square(found, labels, fractions) == pytest.approx(best)


def test_balance_is_better_than_that_of_one_shuffle():
    groups, labels = _cohort(30, 4, seed=2)
    best = _chi_square(split_by_group(groups, labels, FRACTIONS, 0), labels, FRACTIONS)
    single = [_chi_square(split_by_group(groups, labels, FRACTIONS, s, trials=1), labels, FRACTIONS) for s in range(20)]
    assert best < min(single)
    counts = {name: len(indices) / len(labels) for name, indices in split_by_group(groups, labels, FRACTIONS).items()}
    assert counts == pytest.approx(FRACTIONS, abs=0.03)


def test_seed_decides_and_the_order_of_the_records_does_not():
    groups, labels = _cohort(12, 3, seed=1)
    order = np.random.default_rng(0).permutation(len(groups))
    split = split_by_group(groups, labels, FRACTIONS, seed=4)
    shuffled = split_by_group([groups[index] for index in order], labels[order], FRACTIONS, seed=4)
    for name in FRACTIONS:
        assert {groups[i] for i in split[name]} == {groups[order[i]] for i in shuffled[name]}
    others = [split_by_group(groups, labels, FRACTIONS, seed=s, trials=1)["test"].tolist() for s in range(8)]
    assert len({tuple(indices) for indices in others}) > 1


def test_multi_label_membership_is_balanced_per_label():
    rng = np.random.default_rng(0)
    labels = (rng.random((400, 3)) < [0.5, 0.2, 0.05]).astype(int)
    groups = np.arange(400) // 2
    split = split_by_group(groups, labels, {"training": 0.8, "test": 0.2})
    np.testing.assert_allclose(labels[split["test"]].sum(0) / labels.sum(0), 0.2, atol=0.05)


def test_rounds_of_bounded_memory_do_not_change_the_result(monkeypatch):
    groups, labels = _cohort(10, 3, seed=3)
    whole = split_by_group(groups, labels, FRACTIONS, seed=0, trials=500)
    monkeypatch.setattr("shared.data.splits._ELEMENTS_PER_ROUND", 7 * 10 * 4)
    in_rounds = split_by_group(groups, labels, FRACTIONS, seed=0, trials=500)
    for name in FRACTIONS:
        np.testing.assert_array_equal(whole[name], in_rounds[name])


def test_fewer_groups_than_splits_is_an_error():
    with pytest.raises(DataError, match=r"2 group\(s\) \(a, b\) cannot be divided into 3 splits"):
        split_by_group(["a", "b"], [0, 0], FRACTIONS)


def test_class_in_too_few_groups_is_an_error():
    groups = [*"aabbccdd"]
    labels = ["x"] * 7 + ["rare"]
    with pytest.raises(DataError, match=r"class rare occurs in 1 group\(s\) only"):
        split_by_group(groups, labels, FRACTIONS)


def test_impossible_combination_of_classes_is_an_error():
    # groups a and b are the only ones with class 1, and each of two splits needs one; group c alone has class 2 twice
    groups, labels = ["a", "b", "a", "b"], [0, 0, 1, 1]
    split = split_by_group(groups, labels, {"training": 0.5, "test": 0.5})
    assert {len(indices) for indices in split.values()} == {2}
    # three groups, two splits: class 1 in a and b, class 2 in b and c, class 3 in a and c cannot all be in both
    with pytest.raises(DataError, match=r"none of 4096 seeded shuffles.*these classes; add groups that"):
        split_by_group([*"abbcac"], [1, 1, 2, 2, 3, 3], {"training": 0.5, "test": 0.5})


def test_a_small_cohort_is_told_what_it_has_and_fractions_that_work():
    """Eight patients, 0.6, 0.2 and 0.2 of them, are five, one and two: one cannot be of both classes."""
    groups, labels = [f"p{n}" for n in range(8)], [0, 1] * 4
    fractions = {"training": 0.6, "validation": 0.2, "test": 0.2}
    words = SplitWords("patient", ("normal", "tumour"), "--fractions")
    with pytest.raises(DataError) as refusal:
        split_by_group(groups, labels, fractions, words=words)
    assert str(refusal.value) == (
        "found patients: 4 with normal, 4 with tumour; none of 4096 seeded shuffles gave every split (training 0.6, "
        "validation 0.2, test 0.2) all of these classes; --fractions "
        """'{"training": 0.5, "validation": 0.25, "test": 0.25}' makes it possible, """
        "or add patients that have the rarest class"
    )
    told = {"training": 0.5, "validation": 0.25, "test": 0.25}
    assert all({labels[i] for i in part} == {0, 1} for part in split_by_group(groups, labels, told).values())
    with pytest.raises(DataError, match=r"found groups: 4 with 0, 4 with 1; .* a split of training 0\.5, validation"):
        split_by_group(groups, labels, fractions)
    # a half for the first is too much where the others are many; then all get the same
    many = {"a": 0.5, "b": 0.125, "c": 0.125, "d": 0.25}
    with pytest.raises(DataError, match=r"a split of a 0\.25, b 0\.25, c 0\.25, d 0\.25 makes it possible"):
        split_by_group(groups, labels, many)


@pytest.mark.parametrize("fractions", [{}, {"a": 0.5, "b": 0.6}, {"a": 1.1, "b": -0.1}, {"a": 1.0, "b": 0.0}])
def test_fractions_must_add_up(fractions):
    with pytest.raises(ValueError, match="fractions must be positive and add up to 1"):
        split_by_group([*"abc"], [0, 0, 0], fractions)


def test_lengths_must_agree():
    with pytest.raises(ValueError, match="3 groups for 2 labels"):
        split_by_group([*"abc"], [0, 0], {"a": 0.5, "b": 0.5})


def test_records_are_split_and_incomplete_ones_refused():
    records = [{"id": f"{donor}{label}", "donor": donor, "label": label} for donor in "abcdef" for label in (0, 1)]
    sections = split_records(records, {"training": 0.5, "test": 0.5}, "donor")
    assert {record["id"] for section in sections.values() for record in section} == {r["id"] for r in records}
    check_group_disjoint(sections, "donor")
    with pytest.raises(DataError, match="record z: no 'donor'"):
        split_records([*records, {"id": "z", "label": 0}], {"training": 0.5, "test": 0.5}, "donor")


def test_one_patient_in_two_splits_is_refused_by_name():
    sections = {
        "training": [{"id": "1", "donor": "D01"}, {"id": "2", "donor": "D07"}, {"id": "3", "donor": "D07"}],
        "test": [{"id": "4", "donor": "D07"}, {"id": "5", "donor": "D02"}],
    }
    with pytest.raises(DataError, match=r"donor 'D07' in 'training' \(2 records\) and 'test' \(1 records\)"):
        check_group_disjoint(sections, "donor")
    with pytest.raises(DataError, match="record 1 of section 'training' has no 'patient'"):
        check_group_disjoint(sections, "patient")


def test_a_section_for_calibrating_shrinks_the_others_alike():
    fractions = {"training": 0.6, "validation": 0.2, "test": 0.2}
    found = with_calibration(fractions, 0.25)
    assert found == pytest.approx({"training": 0.45, "validation": 0.15, "test": 0.15, "calibration": 0.25})
    assert with_calibration(fractions, 0) == fractions
    groups = [f"p{i}" for i in range(40)]
    split = split_by_group(groups, [i % 2 for i in range(40)], found)
    assert {name: len(indices) for name, indices in split.items()} == {
        "training": 18, "validation": 6, "test": 6, "calibration": 10
    }  # fmt: skip
    for share in (-0.1, 1, float("nan"), "a fifth"):
        with pytest.raises(DataError, match=r"calibration_share: found .*in \[0, 1\)"):
            with_calibration(fractions, share)
    with pytest.raises(DataError, match="give its share there or as calibration_share"):
        with_calibration(found, 0.1)
