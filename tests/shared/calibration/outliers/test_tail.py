import numpy as np
import pytest

from shared.calibration.outliers.tail import Tail


def test_surprise_of_an_exponential_is_its_score():
    scores = np.random.default_rng(0).exponential(size=200_000)
    surprise = Tail.fit(scores).surprise([0.1, 1.0, 2.0, 4.0, 20.0])
    np.testing.assert_allclose(surprise, [0.1, 1.0, 2.0, 4.0, 20.0], rtol=0.05)


def test_surprise_is_the_empirical_probability_below_the_tail():
    scores = np.random.default_rng(1).normal(size=1000)
    tail = Tail.fit(scores)
    for value in (-1.0, 0.0, 0.9):
        assert tail.surprise([value])[0] == pytest.approx(-np.log((scores >= value).mean()), abs=0.02)
    assert tail.surprise([scores.min() - 1])[0] == 0
    beyond = tail.surprise(scores.max() + np.arange(5))
    assert (np.diff(beyond) > 0).all()


def test_constant_scores_have_a_finite_tail():
    tail = Tail.fit(np.full(50, 3.0))
    np.testing.assert_allclose(tail.surprise([2.0, 3.0, 4.0]), [0, 0, 1])


def test_few_scores_are_ranked_all_the_same():
    surprise = Tail.fit([1.0, 2.0, 4.0]).surprise([0.0, 1.5, 3.0, 4.0, 5.0, 50.0])
    assert np.isfinite(surprise).all()
    assert (np.diff(surprise) > 0).all()


@pytest.mark.parametrize("share", [0.0, 0.6, -1.0])
def test_refuses_an_impossible_share(share):
    with pytest.raises(ValueError, match="share of the tail"):
        Tail.fit(np.arange(50), share)


@pytest.mark.parametrize("scores", [np.zeros(1), np.zeros((20, 2)), np.r_[np.zeros(20), np.nan]])
def test_refuses(scores):
    with pytest.raises(ValueError, match="at least 2 finite"):
        Tail.fit(scores)
