"""Conformal risk control against all thresholds in exact arithmetic, and its guarantee by simulation."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from scipy import stats

from shared.calibration.risk_control import cases_needed, fit_sensitivity, risk_is_controlled
from shared.data.errors import DataError


def by_brute_force(scores, labels, target, groups):
    """The highest of all thresholds that make a difference, by the inequality of the paper in fractions."""
    cases = {}
    for score, label, group in zip(scores, labels, groups, strict=True):
        if label == 1:
            cases.setdefault(group, []).append(score)
    n, alpha = len(cases), 1 - Fraction(target)
    passing = []
    for threshold in {score for of_case in cases.values() for score in of_case}:
        losses = [Fraction(sum(score < threshold for score in of_case), len(of_case)) for of_case in cases.values()]
        if Fraction(n, n + 1) * (sum(losses) / n) + Fraction(1, n + 1) <= alpha:
            passing.append(threshold)
    return max(passing, default=None)


@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("target", ["0.9", "0.8", "0.75", "0.5", "0.29", "0.93"])
def test_threshold_is_the_highest_of_all(target, grouped):
    rng = np.random.default_rng(3)
    unfeasible = 0
    for n in (*range(1, 30), 60, 120):
        scores = np.round(rng.random(n), 1 if n % 2 else 6)  # every other time with many ties
        labels = rng.choice([0, 1, 1, np.nan], n)
        groups = rng.integers(0, n, n) if grouped else np.arange(n)
        expected = by_brute_force(scores.tolist(), labels.tolist(), target, groups.tolist())
        if expected is None:
            unfeasible += 1
            with pytest.raises(DataError, match="no threshold can promise a sensitivity"):
                fit_sensitivity(scores, labels, float(target), groups=groups if grouped else None)
        else:
            fit = fit_sensitivity(scores, labels, float(target), groups=groups if grouped else None)
            assert fit.threshold == expected
            assert fit.missed == (scores[labels == 1] < expected).sum()
            negative = scores[labels == 0]
            assert fit.specificity == (pytest.approx((negative < expected).mean()) if len(negative) else None)
    assert 0 < unfeasible < 30


def test_numbers_of_cases_that_rounding_would_spoil():
    # (1 - 0.9)(9 + 1) is below 1 in floating point
    for target, n in ((0.9, 9), (0.95, 19), (0.8, 4), (0.7, 3), (0.99, 99)):
        assert cases_needed(1 - target) == n
        scores = np.linspace(0.2, 0.9, n)
        assert fit_sensitivity(scores, np.ones(n), target).threshold == 0.2
        with pytest.raises(DataError, match=f"at least {n} positive cases, found {n - 1}, which can promise at most"):
            fit_sensitivity(scores[1:], np.ones(n - 1), target)
    with pytest.raises(DataError, match="found 0; calibrate on more"):
        fit_sensitivity([0.3, 0.4], [0, 0], 0.9)


def test_the_paper_s_inequality():
    risk = np.array([0.0, 0.02, 0.08, 0.1])
    by_hand = [50 / 51 * r + 1 / 51 <= 0.1 for r in risk]
    assert risk_is_controlled(risk, 50, 0.1).tolist() == by_hand == [True, True, True, False]
    assert risk_is_controlled(0.0, 50, 0.1, bound=5.0).item()
    assert not risk_is_controlled(0.0, 50, 0.1, bound=5.2).item()


@pytest.mark.parametrize(("n", "target"), [(12, 0.9), (30, 0.9), (30, 0.75), (99, 0.95)])
def test_expected_miss_rate_of_new_cases_is_what_was_promised(n, target):
    # beta-distributed probabilities: the miss rate of new cases at a threshold is known, and needs no second draw
    rng = np.random.default_rng(7)
    scores = stats.beta(2, 1)
    fits = [fit_sensitivity(row, np.ones(n), target) for row in scores.rvs((2000, n), random_state=rng)]
    missed = scores.cdf([fit.threshold for fit in fits])
    error = missed.std() / np.sqrt(len(missed))
    assert missed.mean() <= 1 - target + 3 * error
    # exactly (k + 1) / (n + 1), which is within 1 / (n + 1) of α: not more careful than it must be
    allowed = int((1 - target) * (n + 1) + 1e-9) - 1
    assert missed.mean() == pytest.approx((allowed + 1) / (n + 1), abs=4 * error)
    # the empirical quantile alone would not do
    plain = scores.cdf(np.quantile(scores.rvs((2000, n), random_state=rng), 1 - target, axis=1))
    assert plain.mean() > 1 - target
    # and any single draw stays below its bound as often as it says
    assert np.mean(missed <= fits[0].miss_rate_bound) == pytest.approx(0.95, abs=0.018)


def test_guarantee_holds_for_patients_with_several_slides():
    # slides of a patient are alike: the loss is the share of a new patient's slides that are missed
    rng = np.random.default_rng(11)

    def patients(count, draws):
        number = rng.integers(1, 5, (draws, count))
        # patients with few slides have fainter ones: slides taken for independent would promise another rate
        centre = rng.normal(0, 1, (draws, count)) + 0.4 * number
        slides = centre[..., None] + rng.normal(0, 0.5, (draws, count, 4))
        return slides, np.arange(4) < number[..., None]

    slides, there = patients(25, 800)
    new, new_there = patients(40, 800)
    who = np.repeat(np.arange(25), 4).reshape(25, 4)
    loss = []
    for row in range(800):
        kept = there[row]
        fit = fit_sensitivity(slides[row][kept], np.ones(kept.sum()), 0.8, groups=who[kept])
        assert fit.miss_rate_bound is None
        missed = (new[row] < fit.threshold) & new_there[row]
        loss.append((missed.sum(axis=1) / new_there[row].sum(axis=1)).mean())
    error = np.std(loss) / np.sqrt(len(loss))
    assert 0.2 - 2 / 26 <= np.mean(loss) <= 0.2 + 3 * error


def test_ties_are_found_together():
    fit = fit_sensitivity([0.5] * 30, np.ones(30), 0.9)
    assert (fit.threshold, fit.missed, fit.sensitivity) == (0.5, 0, 1.0)


def test_any_increasing_function_of_the_scores_finds_the_same_cases():
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=80), rng.integers(0, 2, 80)
    plain = fit_sensitivity(logits, labels, 0.9)
    warm = fit_sensitivity(1 / (1 + np.exp(-logits / 3.7)), labels, 0.9)
    assert warm.threshold == pytest.approx(1 / (1 + np.exp(-plain.threshold / 3.7)))
    assert (warm.missed, warm.specificity) == (plain.missed, plain.specificity)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([0.1, np.nan], [1, 1], 0.5), DataError, "scores must be finite, found nan"),
        (([0.1, 0.2], [1, 2], 0.5), DataError, "found 2"),
        (([0.1, 0.2], [1], 0.5), ValueError, "one shape"),
        (([0.1, 0.2], [1, 1], 1.0), ValueError, "target must lie in"),
    ],
)
def test_bad_input_is_named(arguments, error, message):
    with pytest.raises(error, match=message):
        fit_sensitivity(*arguments)
