from __future__ import annotations

import numpy as np
from scipy.stats import spearmanr

from shared.evaluation.rank_correlation import weighted_rank_correlation


def test_weights_are_copies():
    """scipy on the samples written out as often as they are there, with ties in both."""
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 6, 20), rng.integers(0, 9, 20) + 0.3
    weights = rng.integers(0, 4, (30, 20)).astype(float)
    expected = [spearmanr(np.repeat(x, row), np.repeat(y, row)).statistic for row in weights.astype(int)]
    np.testing.assert_allclose(weighted_rank_correlation(weights, x, y), expected, atol=1e-12)


def test_what_is_the_same_everywhere_has_no_correlation():
    weights = np.array([[1.0, 1.0, 0.0], [1.0, 1.0, 1.0]])
    found = weighted_rank_correlation(weights, [2.0, 2.0, 5.0], [1.0, 2.0, 3.0])
    assert np.isnan(found[0])
    assert found[1] > 0
