from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from shared.saliency.sanity.result import SanityResult, crossed_interval


def result(values, limit=0.5, check="cascading_randomisation", groups=None):
    likeness = {"rank_correlation": np.asarray(values, dtype=float)[None]}
    return SanityResult(check, "m", "rank_correlation", likeness, [{"randomised": 2}], limit, groups)


def test_the_value_is_the_mean_over_samples_of_their_means_over_draws():
    values = np.array([[0.1, 0.5, np.nan], [0.3, np.nan, np.nan]])
    # 0.2 and 0.5, not the mean of the three numbers
    assert crossed_interval(values)["value"] == pytest.approx(0.35)


def test_with_one_draw_it_is_the_interval_of_a_mean():
    values = 0.1 * np.random.default_rng(0).normal(size=(1, 12))
    low, high = stats.t.interval(0.95, 11, values.mean(), stats.sem(values[0]))
    assert crossed_interval(values)["ci95"] == pytest.approx([low, high])


def test_draws_that_alone_differ_have_the_interval_of_their_mean():
    of_draws = np.array([-0.1, 0.1, 0.3])
    values = np.repeat(of_draws[:, None], 50, axis=1)
    low, high = stats.t.interval(0.95, 2, of_draws.mean(), stats.sem(of_draws))
    assert crossed_interval(values)["ci95"] == pytest.approx([low, high])


def test_two_draws_that_differ_decide_nothing_and_two_that_agree_may():
    noise = 0.01 * np.random.default_rng(0).normal(size=(2, 200))
    apart, alike = (crossed_interval(np.array([[a], [b]]) + noise)["ci95"] for a, b in ((0.1, 0.5), (0.3, 0.3)))
    assert apart == [-1.0, 1.0]
    assert alike[1] - alike[0] < 0.02


def test_the_interval_covers_as_often_as_it_says():
    generator = np.random.default_rng(1)
    covered = []
    for _ in range(400):
        draws, samples = generator.normal(size=(2, 1)), generator.normal(size=(1, 10))
        low, high = crossed_interval(0.1 * (draws + samples + generator.normal(size=(2, 10))))["ci95"]
        covered.append(low < 0 < high)
    assert np.mean(covered) >= 0.94


def test_whole_patients_are_taken_together():
    values = np.repeat(np.linspace(0, 1, 10), 20)[None]
    of_patients = values[0, ::20]
    low, high = stats.t.interval(0.95, 9, 0.5, stats.sem(of_patients))
    assert crossed_interval(values, groups=np.repeat(np.arange(10), 20))["ci95"] == pytest.approx([low, high])
    one = crossed_interval(values, groups=np.zeros(200))
    assert (one["ci95"], one["reason"]) == (None, "only one group")


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        ([[0.8, 0.9, 0.85, 0.95]], "failed"),
        ([[0.9, -0.9, 0.8, 0.9]], "undecided"),  # the interval reaches below the limit
        ([[0.1, 0.2, 0.0, 0.1]], "passed"),
        ([[1.0, 1.0, 1.0]], "failed"),  # no interval, because all agree
        ([[np.nan, np.nan]], None),  # maps that show nothing have not passed either
    ],
)
def test_a_method_fails_if_the_whole_interval_is_above_the_limit(values, verdict):
    assert result(values).verdict() == verdict
    assert (result(values).failed() is not None) == (verdict == "failed")


def test_likeness_of_maps_of_different_images_is_the_chance_level():
    values = [[0.8, 0.9, 0.85, 0.95]]
    low = result(values).entry()["ci95"][0]
    for level, verdict in ((low - 0.05, "failed"), (low + 0.05, "undecided")):
        found = replace(result(values), shuffled={"rank_correlation": np.array([level - 0.1, level + 0.1, np.nan])})
        assert found.entry()["chance"] == pytest.approx(level)
        assert found.verdict() == verdict
    assert "chance" not in result(values).entry()


def test_a_check_that_was_not_made_says_why():
    found = SanityResult("random_logit", "m", "rank_correlation", {}, unmeasured="one logit")
    assert found.to_row() == {
        "element": "model_transparency", "measure": "random_logit", "method": "m",
        "value": None, "ci95": None, "reason": "one logit",
    }  # fmt: skip
    assert found.verdict() is None
    assert found.failed() is None


def test_the_sentence_names_check_value_and_limit():
    sentence = result([[0.8, 0.9, 0.85, 0.95]], check="random_logit").failed()
    assert sentence.startswith("Random logit: the likeness to the map of another class is 0.88 (95 % 0.7")
    assert sentence.endswith("above 0.5.")


def test_the_row_has_the_stages_and_says_what_was_undefined():
    found = result([[0.2, np.nan], [0.4, 0.9]]).to_row()
    assert found["measure"] == "cascading_randomisation"
    assert found["method"] == "m"
    assert found["value"] == pytest.approx((0.3 + 0.9) / 2)
    assert found["n"] == 2
    assert found["parameters"]["undefined"] == 0.25
    assert found["parameters"]["stages"] == [{"randomised": 2, "rank_correlation": pytest.approx(0.6)}]
    nothing = result([[np.nan, np.nan]]).to_row()
    assert nothing["value"] is None
    assert "constant for every sample" in nothing["reason"]
