from __future__ import annotations

import numpy as np
import pytest

from shared.data.errors import DataError
from shared.study.splits import cross_validation, grouped_cross_validation, leave_one_group_out, other_validation


def test_each_sample_is_held_out_once_and_the_strata_keep_their_shares():
    strata = np.repeat([0, 1], [37, 84])
    splits = cross_validation(strata, 5, 0.2, seed=3)
    assert sorted(np.concatenate([split.test for split in splits])) == list(range(121))
    for split in splits:
        assert sorted(np.concatenate(split)) == list(range(121))
        assert len(split.validation) == pytest.approx(0.2 * (121 - len(split.test)), abs=1)
        for part in split:
            assert strata[part].mean() == pytest.approx(84 / 121, abs=0.04)


def test_the_seed_decides():
    strata = np.tile([0, 1], 30)
    first, same, other = (cross_validation(strata, 3, 0.25, seed=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first[0].test, same[0].test)
    np.testing.assert_array_equal(first[0].validation, same[0].validation)
    assert not np.array_equal(first[0].test, other[0].test)


def test_too_few_samples_are_named():
    with pytest.raises(DataError, match=r"'1' has only 3 samples, too few for 4 folds"):
        cross_validation([0] * 20 + [1] * 3, 4, 0.2, seed=0)
    with pytest.raises(DataError, match="cannot be divided"):
        cross_validation([0] * 4 + [1] * 2, 2, 0.1, seed=0)


def test_a_group_is_left_out_as_a_whole():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 200)
    groups = np.where(rng.random(200) < 0.4, "a", "b")
    splits = leave_one_group_out(labels, groups, 0.25, seed=0)
    assert set(splits) == {"a", "b"}
    for name, split in splits.items():
        np.testing.assert_array_equal(split.test, np.flatnonzero(groups == name))
        rest = np.concatenate([split.training, split.validation])
        np.testing.assert_array_equal(np.sort(rest), np.flatnonzero(groups != name))
        assert len(split.validation) == pytest.approx(0.25 * len(rest), abs=1)
        for label in range(3):
            expected = 0.25 * (labels[rest] == label).sum()
            assert (labels[split.validation] == label).sum() == pytest.approx(expected, abs=1)
    other = leave_one_group_out(labels, groups, 0.25, seed=1)["a"]
    assert not np.array_equal(other.validation, splits["a"].validation)
    with pytest.raises(DataError, match="at least two"):
        leave_one_group_out(labels, ["a"] * 200, 0.25, seed=0)


def test_other_validation_samples_are_disjoint_and_everything_is_trained_on():
    strata = np.repeat([0, 1], [37, 84])
    (first, *_) = cross_validation(strata, 5, 0.2, seed=3)
    splits = [other_validation(first, strata, number, seed=3) for number in range(5)]
    assert splits[0] is first
    rest = np.sort(np.concatenate([first.training, first.validation]))
    assert sorted(np.concatenate([split.validation for split in splits])) == rest.tolist()
    for split in splits:
        np.testing.assert_array_equal(split.test, first.test)
        np.testing.assert_array_equal(np.sort(np.concatenate([split.training, split.validation])), rest)
        assert len(split.validation) == pytest.approx(len(first.validation), abs=1)
        assert strata[split.validation].sum() == pytest.approx(strata[first.validation].sum(), abs=1)
    half = cross_validation(strata, 5, 0.5, seed=3)[0]
    swapped = other_validation(half, strata, 1, seed=0)
    np.testing.assert_array_equal(swapped.validation, half.training)
    np.testing.assert_array_equal(swapped.training, half.validation)


def test_more_splits_than_there_is_room_for_are_refused():
    strata = np.repeat([0, 1], [20, 40])
    (first, *_) = cross_validation(strata, 3, 0.25, seed=0)
    with pytest.raises(DataError, match=r"room for 4 splits with 10 of 40 samples for validation, found number 5"):
        other_validation(first, strata, 4, seed=0)


def test_groups_are_held_out_once_with_all_their_labels():
    rng = np.random.default_rng(1)
    groups = rng.integers(0, 120, 260)
    labels = (rng.random((260, 3)) < [0.4, 0.15, 0.05]).astype(float)
    labels[rng.random((260, 3)) < 0.1] = np.nan
    labels[:, 2] = 0
    labels[:2, 2] = 1  # too few for a place in every section
    splits = grouped_cross_validation(groups, labels, 5, 0.25, seed=4)
    assert sorted(np.concatenate([split.test for split in splits])) == list(range(260))
    for split in splits:
        assert sorted(np.concatenate(split)) == list(range(260))
        owners = [set(groups[part]) for part in split]
        assert all(owners[a].isdisjoint(owners[b]) for a, b in ((0, 1), (0, 2), (1, 2)))
        assert len(split.validation) == pytest.approx(0.25 * (260 - len(split.test)), abs=4)
        for part in split:
            assert (labels[part, 1] == 1).sum() == pytest.approx((labels[:, 1] == 1).sum() * len(part) / 260, abs=3)
    again = grouped_cross_validation(groups, labels, 5, 0.25, seed=4)
    other = grouped_cross_validation(groups, labels, 5, 0.25, seed=5)
    np.testing.assert_array_equal(splits[0].test, again[0].test)
    assert not np.array_equal(splits[0].test, other[0].test)
