from __future__ import annotations

import numpy as np
import pytest

from shared.data.errors import DataError


@pytest.fixture(scope="module")
def bags(bundle_scripts):
    return bundle_scripts("lymphocytosis_moe")("rivals.bags")


def test_a_list_and_a_ragged_batch_are_the_same(bags):
    generator = np.random.default_rng(0)
    arrays = [generator.normal(size=(size, 3)) for size in (2, 5, 1)]
    instances, lengths = bags.as_ragged(arrays)
    again = bags.as_ragged((instances, lengths))
    np.testing.assert_array_equal(instances, np.concatenate(arrays))
    np.testing.assert_array_equal(again[0], instances)
    assert again[1].tolist() == [2, 5, 1]


def test_maxima_and_ranks_are_those_of_each_bag(bags):
    generator = np.random.default_rng(1)
    lengths = np.array([4, 1, 7, 3])
    scores = generator.integers(0, 4, 15).astype(float)  # with ties
    parts = np.split(scores, np.cumsum(lengths)[:-1])
    np.testing.assert_array_equal(bags.bag_maxima(scores, lengths), [part.max() for part in parts])
    expected = [[sorted(range(len(p)), key=lambda k, p=p: (-p[k], k)).index(k) for k in range(len(p))] for p in parts]
    np.testing.assert_array_equal(bags.ranks_within_bags(scores, lengths), np.concatenate(expected))


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ([], "no bags"),
        ([np.zeros((2, 3)), np.zeros((2, 4))], r"bag 1 has shape \(2, 4\)"),
        ([np.zeros((2, 3)), np.zeros((0, 3))], r"empty bags, by their places in the batch: \[1\]"),
        ((np.zeros((4, 3)), [2, 3]), "add up to 5"),
        ([np.zeros((2, 1)), np.array([[1.0], [np.nan]])], "bag 1 has a feature that is not finite"),
    ],
)
def test_unusable_bags_are_refused(bags, found, message):
    with pytest.raises(DataError, match=message):
        bags.as_ragged(found)


def test_attributes_must_be_one_row_to_a_bag(bags):
    with pytest.raises(DataError, match="1 rows of attributes for 2 bags"):
        bags.append_attributes(np.zeros((3, 2)), [1, 2], np.zeros((1, 2)))
