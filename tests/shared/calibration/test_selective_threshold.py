import json

import numpy as np
import pytest
from scipy.stats import binom, binomtest

from shared.calibration.selective_threshold import clopper_pearson_upper, fit_threshold
from shared.data.errors import DataError


@pytest.mark.parametrize(("errors", "trials"), [(0, 1), (0, 20), (3, 50), (49, 50)])
def test_bound_solves_the_binomial_tail(errors, trials):
    bound = clopper_pearson_upper(errors, trials, 0.05)
    assert binom.cdf(errors, trials, bound) == pytest.approx(0.05)
    one_sided = binomtest(errors, trials, alternative="less").proportion_ci(0.95, method="exact")
    assert bound == pytest.approx(one_sided.high)


def test_bound_of_nothing_but_errors_is_one():
    assert clopper_pearson_upper(5, 5, 0.05) == 1


def test_the_lowest_passing_threshold_is_chosen():
    fit = fit_threshold([0.9, 0.8, 0.7, 0.6, 0.5], [0, 1, 0, 0, 1], 0.25)
    assert (fit.threshold, fit.coverage, fit.risk) == (0.6, 0.8, 0.25)


def test_ties_are_accepted_together():
    # with the first two of the three samples at 0.8 the risk would be 0; they cannot be told from the third
    confidence, error = [0.9, 0.8, 0.8, 0.8], [0, 0, 0, 1]
    fit = fit_threshold(confidence, error, 0.2)
    assert (fit.threshold, fit.coverage, fit.risk) == (0.9, 0.25, 0.0)
    fit = fit_threshold(confidence, error, 0.25)
    assert (fit.threshold, fit.coverage, fit.risk) == (0.8, 1.0, 0.25)
    accepted = np.array(confidence) >= fit.threshold
    assert accepted.mean() == fit.coverage


def test_an_unreachable_target_is_answered_clearly():
    with pytest.raises(DataError, match=r"no confidence threshold reaches a risk of 0.1 on 2 .*0.5 at coverage 1"):
        fit_threshold([0.9, 0.1], [1, 0], 0.1)
    with pytest.raises(DataError, match=r"with probability 0.9 on 10 .*more samples"):
        fit_threshold(np.linspace(1, 0, 10), np.zeros(10), 0.01, delta=0.1)


@pytest.mark.parametrize("options", [{"target_risk": 0.0}, {"target_risk": 1.0}, {"target_risk": 0.1, "delta": 1.5}])
def test_impossible_targets_are_refused(options):
    with pytest.raises(ValueError, match=r"must lie in \(0, 1\)"):
        fit_threshold([0.9, 0.1], [0, 1], **options)


def test_the_bound_is_that_of_the_accepted_samples():
    rng = np.random.default_rng(0)
    confidence = rng.random(1000)
    error = rng.random(1000) > confidence
    fit = fit_threshold(confidence, error, 0.15, delta=0.1)
    accepted = confidence >= fit.threshold
    bound = clopper_pearson_upper(int(error[accepted].sum()), int(accepted.sum()), 0.1 / 10)  # 10 steps halve 1000
    assert fit.risk_bound == pytest.approx(bound)
    assert fit.risk_bound <= 0.15
    assert fit.coverage > 0.05
    json.dumps(fit.to_dict(), allow_nan=False)


def test_the_guarantee_holds_over_validation_sets():
    # confidence uniform, P(error | c) = (1 - c)² / 2: the true risk above θ is (1 - θ)² / 6
    rng = np.random.default_rng(1)
    target, delta, exceeded, plain_exceeded, coverage = 0.1, 0.1, 0, 0, []
    for _ in range(400):
        confidence = rng.random(600)
        error = rng.random(600) < (1 - confidence) ** 2 / 2
        guaranteed = fit_threshold(confidence, error, target, delta=delta)
        exceeded += (1 - guaranteed.threshold) ** 2 / 6 > target
        coverage.append(guaranteed.coverage)
        plain_exceeded += (1 - fit_threshold(confidence, error, target).threshold) ** 2 / 6 > target
    assert exceeded <= 0.1 * 400
    assert np.mean(coverage) > 0.5, "a guarantee that accepts nothing is none"
    assert plain_exceeded > 0.3 * 400, "without the bound the target is often missed, which the docstring says"
