import math

import pytest
import torch

from shared.mil.shapley.attention import attention_shapley
from shared.mil.shapley.permutation import permutation_shapley
from shared.mil.shapley.prefix_values import PooledPrefixes
from shared.mil.shapley.running_pooling import RunningWeightedMean
from tests.oracles import shapley as oracle


def mixture(pooled):
    """A gated product of two experts, which no linear head can be."""
    return torch.sigmoid(pooled[:, 0]) * torch.tanh(pooled[:, 1]) + 0.2 * pooled[:, 2]


def test_estimates_the_sum_over_all_subsets():
    n = 7
    embeddings = 2 * torch.randn(n, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    expected = oracle.shapley(n, lambda S: mixture(embeddings[list(S)].mean(0)[None]).item() if S else 0.3)
    prefixes = PooledPrefixes(RunningWeightedMean(embeddings), mixture, 0.3)
    result = permutation_shapley(prefixes, n, max_permutations=20_000, batch=2000)
    assert result.permutations == 20_000
    assert result.efficiency_gap < 1e-12
    errors = (result.values - torch.tensor(expected, dtype=torch.float64)).abs()
    assert (errors < 4.5 * result.standard_errors).all()
    assert errors.max() < 0.01


def attention_game(n):
    generator = torch.Generator().manual_seed(n)
    scores = torch.randn(n, dtype=torch.float64, generator=generator)
    logits = torch.randn(n, dtype=torch.float64, generator=generator)
    prefixes = PooledPrefixes(RunningWeightedMean(scores[:, None], logits), lambda pooled: pooled[:, 0], 0.3)
    return prefixes, attention_shapley(scores, logits, 0.3).values


def test_standard_errors_are_those_of_the_errors():
    prefixes, exact = attention_game(60)
    deviations = []
    for seed in range(20):
        result = permutation_shapley(prefixes, 60, max_permutations=2000, batch=500, seed=seed)
        deviations.append((result.values - exact) / result.standard_errors)
    # 1200 deviations of unit variance, of which the 60 of a seed add up to nothing
    assert torch.stack(deviations).square().mean().item() == pytest.approx(1, abs=0.15)


def test_a_reverse_order_beside_every_order():
    seen = []

    def prefixes(orders):
        seen.append(orders)
        return torch.arange(orders.shape[1] + 1.0).expand(len(orders), -1)

    permutation_shapley(prefixes, 5, max_permutations=20, batch=8)
    assert seen[0].tolist() == [[0], [1], [2], [3], [4]]
    assert [len(orders) for orders in seen[1:]] == [8, 8, 4]
    for orders in seen[1:]:
        forth, back = orders.chunk(2)
        assert torch.equal(forth.flip(1), back)
        assert torch.equal(orders.sort(dim=1).values, torch.arange(5).expand(len(orders), 5))


def test_every_permutation_is_as_likely():
    counts = {}

    def prefixes(orders):
        for order in orders.tolist():
            counts[tuple(order)] = counts.get(tuple(order), 0) + (len(order) == 3)
        return torch.zeros(len(orders), orders.shape[1] + 1)

    permutation_shapley(prefixes, 3, max_permutations=6000, batch=1000)
    orders = [count for order, count in counts.items() if len(order) == 3]
    assert len(orders) == math.factorial(3)
    assert min(orders) > 1000 - 150


def test_batches_do_not_change_the_estimate():
    prefixes, _ = attention_game(10)
    whole = permutation_shapley(prefixes, 10, max_permutations=60, batch=60)
    # numbers are drawn in the same order whatever the batch
    parts = permutation_shapley(prefixes, 10, max_permutations=60, batch=14)
    torch.testing.assert_close(parts.values, whole.values)
    torch.testing.assert_close(parts.standard_errors, whole.standard_errors)


def test_stops_at_the_requested_standard_error():
    prefixes, _ = attention_game(40)
    settings = {"batch": 32, "max_permutations": 100_000}
    result = permutation_shapley(prefixes, 40, standard_error=0.02, **settings)
    assert result.standard_errors.max() <= 0.02
    before = permutation_shapley(prefixes, 40, batch=32, max_permutations=result.permutations - 32)
    assert before.standard_errors.max() > 0.02
    finer = permutation_shapley(prefixes, 40, standard_error=0.01, **settings)
    # the 1/√P law
    assert 2 < finer.permutations / result.permutations < 8


def test_says_so_where_the_permutations_do_not_suffice():
    prefixes, _ = attention_game(40)
    result = permutation_shapley(prefixes, 40, standard_error=1e-6, max_permutations=50)
    assert result.permutations == 50
    assert result.standard_errors.max() > 1e-6


def test_one_instance():
    prefixes = PooledPrefixes(RunningWeightedMean(torch.tensor([[2.5]])), lambda pooled: pooled[:, 0], 1.0)
    result = permutation_shapley(prefixes, 1, standard_error=0.1)
    assert result.values.tolist() == [1.5]
    assert result.standard_errors.tolist() == [0]
    assert result.permutations == 32


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"instances": 0}, "at least one instance"),
        ({"standard_error": 0.0}, "must be positive, found 0.0"),
        ({"max_permutations": 7}, "even and at least 4"),
        ({"batch": 3}, "found 1000 and 3"),
    ],
)
def test_says_what_is_wrong_with_the_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        permutation_shapley(lambda orders: orders, **{"instances": 3, **settings})


def test_says_what_is_wrong_with_the_values():
    with pytest.raises(ValueError, match=r"\(3, 2\), found shape \(3, 1\)"):
        permutation_shapley(lambda orders: orders.double(), 3)
    with pytest.raises(ValueError, match="with 6 NaN or infinite"):
        permutation_shapley(lambda orders: torch.full((len(orders), orders.shape[1] + 1), torch.nan), 3)


def test_to_be_the_first_is_not_left_to_chance():
    # the light instance decides where it is alone, in one order of 50; all other changes are shared by many
    scores, logits = torch.zeros(50, dtype=torch.float64), torch.zeros(50, dtype=torch.float64)
    scores[17], logits[17] = 100, -60
    prefixes = PooledPrefixes(RunningWeightedMean(scores[:, None], logits), lambda pooled: pooled[:, 0])
    exact = attention_shapley(scores, logits).values
    assert exact[17].item() == pytest.approx(2)
    for seed in range(3):
        result = permutation_shapley(prefixes, 50, max_permutations=4, seed=seed)
        assert (result.values - exact).abs().max() < 0.05
