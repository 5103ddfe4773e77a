"""The numbers of the tables against scikit-learn and against resampling bag by bag."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import t as student_t
from sklearn import metrics as sklearn_metrics

BAGS = 40


@pytest.fixture
def rng():
    """Every test draws the same, whichever others are run."""
    return np.random.default_rng(5)


@pytest.fixture
def labels(rng):
    return rng.permutation(np.arange(BAGS) % 2)


@pytest.fixture
def logits(rng, labels):
    return labels + rng.normal(scale=1.2, size=(3, BAGS)) - 0.5


def sklearn_values(labels, logits):
    called = logits > 0
    return [
        sklearn_metrics.accuracy_score(labels, called),
        sklearn_metrics.precision_score(labels, called),
        sklearn_metrics.recall_score(labels, called),
        sklearn_metrics.f1_score(labels, called),
        sklearn_metrics.roc_auc_score(labels, logits),
    ]


def test_measures_are_those_of_scikit_learn(scripts, rng, labels, logits):
    measure = scripts("study.measures").weighted_bag_metrics
    counts = np.array([np.bincount(rng.integers(0, BAGS, BAGS), minlength=BAGS) for _ in range(5)])
    found = measure(counts.astype(float), labels == 1, logits[0])
    for row, weights in zip(found, counts, strict=True):
        drawn = np.repeat(np.arange(BAGS), weights)
        np.testing.assert_allclose(row, sklearn_values(labels[drawn], logits[0][drawn]), rtol=1e-12)


def test_without_a_positive_call_there_is_no_precision(scripts):
    values = scripts("study.measures").weighted_bag_metrics(np.ones((1, 4)), np.arange(4) > 1, -np.arange(1.0, 5))[0]
    np.testing.assert_array_equal(values, [0.5, np.nan, 0, 0, 0])


def test_means_over_repeats(scripts, labels, logits):
    measures = scripts("study.measures")
    found = measures.Meter(labels, 200).classification(logits)
    expected = np.array([sklearn_values(labels, values) for values in logits])
    for index, name in enumerate(measures.NAMES):
        assert found[name].value == pytest.approx(expected[:, index].mean())
        assert found[name].repeat_sd == pytest.approx(expected[:, index].std(ddof=1))
        assert found[name].low < found[name].value < found[name].high
        assert (found[name].n, found[name].repeats) == (BAGS, 3)


def test_intervals_over_bags_and_seeds_cover_the_mean_of_other_seeds(scripts):
    """Half-widths of two independent normal errors add in quadrature: the interval covers as often as it says."""
    from shared.study.measures import Estimate

    widen = scripts("study.measures").over_bags_and_seeds
    rng, covered = np.random.default_rng(0), 0
    for _ in range(2000):
        # the same test bags for all seeds: one error of theirs, known to the bootstrap; five of the trainings
        seeds = 0.8 + 0.01 * rng.normal() + 0.02 * rng.normal(size=5)
        mean, half = seeds.mean(), 1.96 * 0.01
        found = widen(Estimate(mean, mean - half, mean + half, 100, 5, seeds.std(ddof=1)))
        covered += found.low <= 0.8 <= found.high
    assert 0.94 < covered / 2000 < 0.985
    alone = Estimate(0.9, 0.8, 0.95, 100)
    assert widen(alone) == alone
    assert widen(Estimate(0.9, 0.8, 0.95, 100, 2, 0.3)).high == 1.0


def test_sensitivity_at_a_specificity_is_that_of_the_roc_curve(scripts, rng, labels, logits):
    module = scripts("study.measures")
    counts = np.array([np.bincount(rng.integers(0, BAGS, BAGS), minlength=BAGS) for _ in range(20)])
    for scores in (logits[0], np.round(logits[0])):  # with and without bags of equal score
        for specificity in (0.0, 0.5, 0.9, 1.0):
            found = module.weighted_sensitivity(counts.astype(float), scores, labels == 1, specificity)
            for value, weights in zip(found, counts, strict=True):
                drawn = np.repeat(np.arange(BAGS), weights)
                false, true, _ = sklearn_metrics.roc_curve(labels[drawn], scores[drawn], drop_intermediate=False)
                assert value == pytest.approx(true[false <= 1 - specificity + 1e-9].max())
    only = module.weighted_sensitivity(np.array([[1.0, 1.0, 0.0]]), np.arange(3.0), np.array([True, True, False]), 0.9)
    assert np.isnan(only).all()


def test_paired_differences_are_of_the_same_bags_and_seeds(scripts, labels, logits):
    paired, results = scripts("study.paired"), scripts("study.results")
    from shared.evaluation.classification import weighted_roc_auc

    def held_out(values, repeats=None):
        numbers = tuple(range(len(values)) if repeats is None else repeats)
        return results.HeldOutBags(numbers, labels, values, np.zeros_like(values, dtype=int), None)

    # the same errors in both, so that the difference is known far better than either
    first, second = held_out(logits + 0.3 * labels), held_out(logits)
    found = paired.paired_difference(weighted_roc_auc, first, second, 400)
    areas = [[sklearn_metrics.roc_auc_score(labels, row) for row in part.logits] for part in (first, second)]
    difference = np.subtract(*areas)
    assert found.value == pytest.approx(difference.mean())
    assert found.repeat_sd == pytest.approx(difference.std(ddof=1))
    alone = scripts("study.measures").Meter(labels, 400).classification(second.logits)["roc_auc"]
    bags_alone = paired.paired_difference(weighted_roc_auc, first, second, 400, seeds=False)
    assert bags_alone.high - bags_alone.low < 0.6 * (alone.high - alone.low)
    assert bags_alone.low > 0
    reach = student_t.ppf(0.975, 2) * difference.std(ddof=1) / np.sqrt(3)
    assert found.high - found.value == pytest.approx(np.hypot(bags_alone.high - found.value, reach))
    swapped = paired.paired_difference(weighted_roc_auc, second, first, 400)
    assert (swapped.value, swapped.low) == (pytest.approx(-found.value), pytest.approx(-found.high))
    some = np.arange(BAGS) < 30
    part = paired.paired_difference(weighted_roc_auc, first, held_out(logits[:2]), 50, chosen=some)
    assert (part.n, part.repeats) == (30, 2)
    # one lacks the first repeat, the other the last: what both have is compared, and not their first rows
    last, early = held_out((logits + 0.3 * labels)[1:], [1, 2]), held_out(logits[:2])
    same = paired.paired_difference(weighted_roc_auc, last, early, 50)
    assert (same.repeats, same.value) == (1, pytest.approx(areas[0][1] - areas[1][1]))
    assert paired.paired_difference(weighted_roc_auc, held_out(logits[:1], [7]), second, 50) is None


def test_ratios_over_runs_are_averaged_as_logarithms(scripts):
    from shared.saliency.bags.quality.quality_table import over_runs

    table = over_runs([{"positive": {}, "negative": {"a": {"peak_ratio": {"value": value}}}} for value in (0.5, 2, 4)])
    found = scripts("study.explanation_results").FoundSet(
        ("a", "random"), table, {}, np.zeros(1), {"positive": 3, "negative": 5}, np.ones(3), {}, 1.0
    )
    estimate = found.estimate("negative", "a", "peak_ratio")
    assert estimate.value == pytest.approx(4 ** (1 / 3))
    reach = student_t.ppf(0.975, 2) * np.std(np.log([0.5, 2, 4]), ddof=1) / 3**0.5
    assert np.log([estimate.low, estimate.high]) == pytest.approx(np.log(4) / 3 + np.array([-reach, reach]))


def test_the_area_within_folds(scripts, rng, labels, logits):
    folds = np.stack([rng.permutation(np.arange(BAGS) % 4) for _ in range(3)])
    # what one fold's network adds to all its logits does not matter within the fold
    shifted = logits + 10 * folds
    meter = scripts("study.measures").Meter(labels, 200)
    found = meter.fold_roc_auc(shifted, folds)
    expected = [
        np.mean([sklearn_metrics.roc_auc_score(labels[fold == k], values[fold == k]) for k in range(4)])
        for values, fold in zip(logits, folds, strict=True)
    ]
    assert found.value == pytest.approx(np.mean(expected))
    assert meter.classification(shifted)["roc_auc"].value < found.value - 0.1


@pytest.mark.parametrize(
    ("value", "high", "text"),
    [(0.9, 0.95, "met, above"), (0.85, 0.95, "met, within the interval"), (0.7, 0.8, "missed by 0.192")],
)
def test_verdicts_on_the_papers_figures(scripts, value, high, text):
    from shared.study.measures import Estimate

    assert scripts("study.table")._verdict(Estimate(value, 0.5, high, 10), 0.892) == text


def test_published_figures_of_the_colon_agree_with_each_other(scripts):
    """The F score is nearly the harmonic mean of mean precision and recall: guards against misprints."""
    for (condition, _), figures in scripts("study.published").PUBLISHED.items():
        if condition == "colon":
            precision, recall = figures["precision"], figures["recall"]
            assert figures["f1"] == pytest.approx(2 * precision * recall / (precision + recall), abs=0.004)
