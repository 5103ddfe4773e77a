"""The interval of a share is scipy's."""

from __future__ import annotations

import pytest
from scipy.stats import binomtest

from shared.evaluation.proportion import wilson_interval


@pytest.mark.parametrize(("successes", "trials"), [(0, 5), (5, 5), (3, 10), (180, 200)])
def test_wilson_interval_agrees_with_scipy(successes, trials):
    expected = binomtest(successes, trials).proportion_ci(method="wilson")
    assert wilson_interval(successes, trials) == pytest.approx((expected.low, expected.high), abs=1e-12)
