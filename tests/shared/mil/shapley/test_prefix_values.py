import pytest
import torch

from shared.mil.shapley.prefix_values import MaskedPrefixes, PooledPrefixes
from shared.mil.shapley.running_pooling import RunningMax, RunningWeightedMean

N, E = 9, 3


@pytest.fixture
def embeddings():
    return torch.randn(N, E, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def orders():
    return torch.stack([torch.randperm(N, generator=torch.Generator().manual_seed(seed)) for seed in range(5)])


def function(pooled):
    return (pooled**2).sum(dim=1).sqrt()


@pytest.mark.parametrize("numbers", [1, 2 * E, N * E, 3 * N * E, 10_000])
def test_pooled_prefixes_are_the_function_of_every_prefix(numbers, embeddings, orders):
    sizes = []

    def recorded(pooled):
        sizes.append(pooled.numel())
        return function(pooled)

    values = PooledPrefixes(RunningWeightedMean(embeddings), recorded, -2.0, numbers)(orders)
    assert max(sizes) <= max(numbers, E)
    assert values[:, 0].tolist() == [-2.0] * 5
    for row, order in zip(values, orders, strict=True):
        expected = [function(embeddings[order[:size]].mean(dim=0)[None]).item() for size in range(1, N + 1)]
        assert row[1:].tolist() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("numbers", [1, 4 * N, 10_000])
def test_masked_prefixes_are_the_same(numbers, embeddings, orders):
    sizes = []

    def masked(masks):
        sizes.append(masks.numel())
        return function(embeddings.expand(len(masks), -1, -1).masked_fill(~masks[..., None], -torch.inf).amax(dim=1))

    values = MaskedPrefixes(masked, N, 0.5, numbers)(orders)
    expected = PooledPrefixes(RunningMax(embeddings), function, 0.5)
    torch.testing.assert_close(values, expected(orders))
    torch.testing.assert_close(MaskedPrefixes(masked, N, 0.5, numbers)(orders[:, :4]), expected(orders[:, :4]))
    assert max(sizes) <= max(numbers, N)


def test_a_function_with_another_shape_is_refused(embeddings, orders):
    with pytest.raises(ValueError, match=r"one value for each row, \(45,\), found \(45, 1\)"):
        PooledPrefixes(RunningMax(embeddings), lambda pooled: pooled[:, :1])(orders)
