import pytest
import torch

from shared.mil.shapley.maximum import max_shapley
from tests.oracles import shapley as oracle


@pytest.mark.parametrize("n", [1, 2, 3, 7, 12])
@pytest.mark.parametrize("empty", [0.0, -30.0, 30.0])
def test_equals_the_sum_over_all_subsets(n, empty):
    torch.manual_seed(n)
    scores = 5 * torch.randn(n, dtype=torch.float64)
    expected = oracle.shapley(n, oracle.max_value(scores.tolist(), empty))
    result = max_shapley(scores, empty)
    assert result.values.tolist() == pytest.approx(expected, abs=1e-12)
    assert result.efficiency_gap < 1e-12


def test_ties_share_equally():
    scores = torch.tensor([2.0, 5.0, 2.0, 5.0, 5.0])
    expected = oracle.shapley(5, oracle.max_value(scores.tolist(), 0.0))
    values = max_shapley(scores).values
    assert values.tolist() == pytest.approx(expected, abs=1e-12)
    assert values[0] == values[2]
    assert values[1] == values[3] == values[4]


def test_an_instance_at_the_value_of_the_empty_bag_is_a_dummy():
    values = max_shapley(torch.tensor([1.0, 4.0, 1.0, 2.0]), empty=1.0).values
    assert values[0] == values[2] == 0
    assert values[[1, 3]].tolist() == max_shapley(torch.tensor([4.0, 2.0]), empty=1.0).values.tolist()


def test_columns_are_games_of_their_own():
    torch.manual_seed(0)
    scores = torch.randn(6, 3)
    result = max_shapley(scores, 0.5)
    for column in range(3):
        assert torch.equal(result.values[:, column], max_shapley(scores[:, column], 0.5).values)


def test_a_million_instances_add_up():
    torch.manual_seed(0)
    scores = torch.randn(1_000_000)
    result = max_shapley(scores)
    assert result.efficiency_gap < 1e-10
    assert result.values.argmax() == scores.argmax()


def test_an_empty_bag_is_refused():
    with pytest.raises(ValueError, match="an empty bag"):
        max_shapley(torch.zeros(0))
