"""Ranks against SciPy's, row by row and bag by bag."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import rankdata

from shared.saliency.ranks import average_ranks, ragged_ranks, tie_bounds


@pytest.mark.parametrize("levels", [2, 5, 10**6])
def test_average_ranks_equal_scipy(levels):
    values = np.random.default_rng(0).integers(0, levels, (7, 50)).astype(float)
    np.testing.assert_array_equal(average_ranks(values), rankdata(values, axis=1))


def test_bounds_hold_the_values_that_tie():
    values = np.sort(np.random.default_rng(1).integers(0, 6, (5, 20)), axis=1)[:, ::-1].astype(float)
    first, last = tie_bounds(values)
    for row, place in np.ndindex(values.shape):
        tied = np.flatnonzero(values[row] == values[row, place])
        assert (first[row, place], last[row, place]) == (tied[0], tied[-1])


def test_ragged_ranks_equal_scipy():
    lengths = np.array([3, 0, 8, 1, 0])
    values = np.random.default_rng(2).integers(0, 3, 12).astype(float)
    expected = np.concatenate([rankdata(bag) for bag in np.split(values, np.cumsum(lengths)[:-1])])
    np.testing.assert_array_equal(ragged_ranks(values, lengths), expected)
    assert ragged_ranks(np.empty(0), np.array([], dtype=int)).shape == (0,)
