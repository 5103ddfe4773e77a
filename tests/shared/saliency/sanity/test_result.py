import numpy as np
import pytest

from shared.saliency.sanity.result import SanityResult, crossed_interval


def result(values, limit=0.5, check="cascading_randomisation", groups=None):
    likeness = {"rank_correlation": np.asarray(values, dtype=float)[None]}
    return SanityResult(check, "m", "rank_correlation", likeness, [{"randomised": 2}], limit, groups)


def test_the_value_is_the_mean_over_samples_of_their_means_over_draws():
    values = np.array([[0.1, 0.5, np.nan], [0.3, np.nan, np.nan]])
    # 0.2 and 0.5, not the mean of the three numbers
    assert crossed_interval(values).value == pytest.approx(0.35)


def test_the_interval_knows_that_draws_differ():
    samples = 200
    of_draws = np.array([-0.8, 0.9, 0.1])
    noise = 0.01 * np.random.default_rng(0).normal(size=(3, samples))
    values = of_draws[:, None] + noise
    interval = crossed_interval(values)
    assert interval.low < -0.4
    assert interval.high > 0.5
    alike = np.repeat([[0.4], [0.4], [0.4]], samples, axis=1) + 0.01 * np.random.default_rng(0).normal(
        size=(3, samples)
    )
    assert crossed_interval(alike).high - crossed_interval(alike).low < 0.01


def test_with_one_draw_it_is_the_bootstrap_of_a_mean():
    values = np.random.default_rng(0).normal(size=(1, 400))
    interval = crossed_interval(values)
    error = values.std() / 20
    assert interval.low == pytest.approx(values.mean() - 1.96 * error, abs=0.2 * error)
    assert interval.high == pytest.approx(values.mean() + 1.96 * error, abs=0.2 * error)


def test_whole_patients_are_drawn():
    values = np.repeat(np.linspace(0, 1, 10), 20)[None]
    alone, grouped = crossed_interval(values), crossed_interval(values, groups=np.repeat(np.arange(10), 20))
    assert grouped.high - grouped.low > 3 * (alone.high - alone.low)


@pytest.mark.parametrize(
    ("values", "failed"),
    [
        ([[0.8, 0.9, 0.85, 0.95]], True),
        ([[0.9, -0.9, 0.8, 0.9]], False),  # the interval reaches below the limit
        ([[0.1, 0.2, 0.0, 0.1]], False),
        ([[1.0, 1.0, 1.0]], True),  # no interval, because all resamples agree
        ([[np.nan, np.nan]], False),  # maps that show nothing have not passed either
    ],
)
def test_a_method_fails_if_the_whole_interval_is_above_the_limit(values, failed):
    assert (result(values).failed() is not None) == failed


def test_the_sentence_names_check_value_and_limit():
    sentence = result([[0.8, 0.9, 0.85, 0.95]], check="random_logit").failed()
    assert sentence.startswith("Random logit: the likeness to the map of another class is 0.88 (95 % 0.8")
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
