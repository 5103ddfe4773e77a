"""The Youden threshold against every threshold tried one by one, and against scikit-learn's ROC curve."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_curve

from shared.calibration.youden import fit_youden, midpoint
from shared.data.errors import DataError


def youden_index(scores, labels, threshold):
    called = scores > threshold
    return called[labels == 1].mean() + (~called)[labels == 0].mean() - 1


@pytest.mark.parametrize("seed", range(20))
def test_no_threshold_has_a_larger_index(seed):
    rng = np.random.default_rng(seed)
    labels = (rng.random(60) < 0.3).astype(float)
    scores = np.round(rng.normal(labels, 1.0), 1)  # tied
    labels[rng.random(60) < 0.2] = np.nan
    known = ~np.isnan(labels)
    fit = fit_youden(scores, labels)
    indices = [youden_index(scores[known], labels[known], t) for t in np.unique(scores)]
    assert fit.index == pytest.approx(max(indices[:-1]), abs=1e-12)
    assert youden_index(scores[known], labels[known], fit.threshold) == pytest.approx(fit.index, abs=1e-12)
    false_rate, true_rate, _ = roc_curve(labels[known], scores[known])
    assert fit.index == pytest.approx((true_rate - false_rate).max(), abs=1e-12)
    assert fit.sensitivity + fit.specificity - 1 == pytest.approx(fit.index, abs=1e-12)
    assert (fit.n, fit.n_positive) == (known.sum(), np.nansum(labels))


def test_of_equal_indices_the_balanced_then_the_lower_threshold_is_taken():
    # between 1 and 2: (1, 1/2); between 3 and 4: (1/2, 1); both 0.5 and equally unbalanced
    assert fit_youden([1, 2, 3, 4], [0, 1, 0, 1]).threshold == 1.5


def test_scores_that_speak_against_the_label_are_told():
    fit = fit_youden([0.1, 0.2, 0.8, 0.9], [1, 1, 0, 0])
    assert fit.index < 0
    assert "no threshold is better than chance" in fit.caveat
    assert fit_youden([0.1, 0.9], [0, 1]).caveat is None


@pytest.mark.parametrize(
    ("scores", "labels", "message"),
    [
        ([0.1, 0.2], [0, np.nan], "0 positive and 1 negative"),
        ([0.1, 0.2], [1, 1], "2 positive and 0 negative"),
        ([0.3, 0.3], [0, 1], "all 2 scores are 0.3"),
        ([0.1, np.nan], [0, 1], "finite"),
        ([0.1, 0.2], [0, 2], "found 2"),
        ([0.1], [0, 1], "one shape"),
    ],
)
def test_what_cannot_be_fitted_is_refused(scores, labels, message):
    with pytest.raises(DataError, match=message):
        fit_youden(scores, labels)


def test_the_middle_of_a_gap_lies_in_it_however_narrow():
    low = 1.0
    high = np.nextafter(low, 2)
    assert low <= midpoint(low, high) < high
    assert midpoint(-high, -low) < -low
    assert midpoint(0.0, 1.0) == 0.5
