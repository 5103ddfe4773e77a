import pytest
import torch

from shared.mil.shapley.mean import harmonic_number, mean_shapley
from tests.oracles import shapley as oracle


@pytest.mark.parametrize("n", [1, 2, 3, 7, 12])
@pytest.mark.parametrize("empty", [0.0, -4.2])
def test_equals_the_sum_over_all_subsets(n, empty):
    torch.manual_seed(n)
    scores = 5 * torch.randn(n, dtype=torch.float64)
    expected = oracle.shapley(n, oracle.mean_value(scores.tolist(), empty))
    result = mean_shapley(scores, empty)
    assert result.values.tolist() == pytest.approx(expected, abs=1e-12)
    assert result.efficiency_gap < 1e-12
    assert result.standard_errors is None
    assert result.permutations is None


def test_harmonic_number_is_the_sum():
    assert harmonic_number(1) == pytest.approx(1, abs=1e-15)
    assert harmonic_number(1000) == pytest.approx(sum(1 / k for k in range(1, 1001)), rel=1e-14)


def test_columns_are_games_of_their_own():
    torch.manual_seed(0)
    scores = torch.randn(6, 3)
    result = mean_shapley(scores, 0.5)
    for column in range(3):
        assert torch.equal(result.values[:, column], mean_shapley(scores[:, column], 0.5).values)


def test_equal_scores_share_equally():
    assert mean_shapley(torch.full((4,), 3.0), 1.0).values.tolist() == pytest.approx([0.5] * 4)


@pytest.mark.parametrize(
    ("scores", "empty", "message"),
    [
        (torch.zeros(0), 0.0, "an empty bag"),
        (torch.zeros(2, 3, 4), 0.0, r"\(N,\) or \(N, E\), found shape \(2, 3, 4\)"),
        (torch.tensor([0.0, float("nan")]), 0.0, "instance 1"),
        (torch.zeros(3), float("inf"), "value of the empty bag must be finite, found inf"),
    ],
)
def test_says_what_is_wrong_with_the_scores(scores, empty, message):
    with pytest.raises(ValueError, match=message):
        mean_shapley(scores, empty)
