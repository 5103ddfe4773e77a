import math

import pytest
import torch

from shared.mil.shapley.log_mean_exp import log_mean_exp_shapley
from shared.mil.shapley.maximum import max_shapley
from shared.mil.shapley.mean import mean_shapley
from tests.oracles import shapley as oracle


def scores_of(n, spread):
    return spread * torch.rand(n, dtype=torch.float64, generator=torch.Generator().manual_seed(n))


@pytest.mark.parametrize("n", [1, 2, 3, 6, 12])
@pytest.mark.parametrize(("r", "spread"), [(1.0, 0.0), (0.01, 3.0), (1.0, 3.0), (5.0, 8.0), (5.0, 100.0), (-2.0, 3.0)])
def test_equals_the_sum_over_all_subsets(n, r, spread):
    scores = scores_of(n, spread)
    expected = oracle.shapley(n, oracle.log_mean_exp_value(scores.tolist(), r, -0.7))
    result = log_mean_exp_shapley(scores, r, empty=-0.7)
    assert result.values.tolist() == pytest.approx(expected, abs=1e-8)
    assert result.efficiency_gap < 1e-8


def test_far_apart_scores():
    scores = torch.tensor([-400.0, -399.0, 0.0, 70.0, 71.0, 5000.0], dtype=torch.float64)
    expected = oracle.shapley(6, oracle.log_mean_exp_value(scores.tolist(), 1.5, 3.0))
    assert log_mean_exp_shapley(scores, 1.5, 3.0).values.tolist() == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize("distance", [0.3, 5.0, 40.0])
def test_two_kinds_of_instances(distance):
    sizes = (200, 120)

    def value(k):
        total = k[0] + k[1] * math.exp(distance)
        return math.log(total / sum(k)) if sum(k) else 0.6

    expected = oracle.two_kinds_shapley(sizes, value)
    scores = distance * torch.cat([torch.zeros(sizes[0]), torch.ones(sizes[1])]).double()
    values = log_mean_exp_shapley(scores, 1.0, 0.6).values
    assert (values[: sizes[0]] - expected[0]).abs().max() < 1e-9
    assert (values[sizes[0] :] - expected[1]).abs().max() < 1e-9


def test_lies_between_mean_and_maximum():
    scores = scores_of(9, 4.0)
    soft, sharp = log_mean_exp_shapley(scores, 1e-6, 0.5), log_mean_exp_shapley(scores, 1e5, 0.5)
    torch.testing.assert_close(soft.values, mean_shapley(scores, 0.5).values, rtol=0, atol=1e-5)
    torch.testing.assert_close(sharp.values, max_shapley(scores, 0.5).values, rtol=0, atol=1e-4)


def test_like_instances_and_shift():
    scores = scores_of(40, 6.0)
    scores[7] = scores[20]
    values = log_mean_exp_shapley(scores, 2.0, 0.5).values
    assert values[7].item() == pytest.approx(values[20].item(), abs=1e-15)
    shifted = log_mean_exp_shapley(scores + 33.333, 2.0, 33.833).values
    torch.testing.assert_close(shifted, values, rtol=0, atol=1e-9)


def test_columns_are_games_of_their_own():
    scores = scores_of(12, 5.0).view(6, 2)
    result = log_mean_exp_shapley(scores, 2.0, 0.5)
    assert torch.equal(result.values[:, 1], log_mean_exp_shapley(scores[:, 1], 2.0, 0.5).values)


def test_many_instances_add_up():
    assert log_mean_exp_shapley(scores_of(100_000, 30.0), 1.0).efficiency_gap < 1e-7


@pytest.mark.parametrize("r", [0.0, math.inf, math.nan])
def test_r_must_be_usable(r):
    with pytest.raises(ValueError, match="r must be finite and not 0"):
        log_mean_exp_shapley(torch.zeros(2), r)
