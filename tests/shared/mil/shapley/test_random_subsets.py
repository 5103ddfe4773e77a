import pytest
import torch

from shared.mil.shapley import random_subsets
from shared.mil.shapley.log_weight_grid import STEP
from shared.mil.shapley.random_subsets import RandomSubsets


def the_only_block(instances, nodes):
    (block,) = RandomSubsets.blocks(instances, nodes)
    return block


@pytest.mark.parametrize("n", [1, 2, 30, 1000, 1_000_000])
def test_quadrature_over_inclusion_probabilities(n):
    block = the_only_block(n, torch.zeros(1, dtype=torch.float64))
    measure, absent = block.measure[:, 0] / STEP, block.absent[:, 0]
    # the empty set precedes an instance with probability 1/N, and Σ_k 1/k = ∫ (1 − (1 − t)^N) / t dt
    assert float((measure * absent ** (n - 1)).sum()) == pytest.approx(1 / n, rel=1e-7)
    expected = torch.special.digamma(torch.tensor(n + 1.0, dtype=torch.float64)).item() + 0.5772156649015329
    assert float((measure * (1 - absent**n) / block.t[:, 0]).sum()) == pytest.approx(expected, rel=1e-9)
    torch.testing.assert_close(block.t + block.absent, torch.ones_like(block.t))


def direct(block, window, j, g, nodes, function, above):
    """f(ln λ_j + node_g) by its place in the window: λ_0 meets the heaviest node at the window's start."""
    place = j - (nodes - 1) + g
    if place < 0:
        return torch.zeros_like(block.t[:, 0])
    return function[:, place] if place < window else above[:, 0]


@pytest.mark.parametrize("columns", [5, 4096])
def test_convolutions_are_the_double_sums(columns, monkeypatch):
    monkeypatch.setattr(random_subsets, "COLUMNS", columns)
    torch.manual_seed(0)
    nodes, count = 11, 3
    block = RandomSubsets(
        torch.rand(count).double(), torch.rand(count).double(), torch.rand(count).double(), torch.zeros(4).double()
    )
    window = 4
    function, above = torch.rand(count, window).double(), torch.rand(count, 1).double()
    factors = torch.rand(nodes).double()
    moments = window + nodes - 1
    measure = torch.rand(count, moments).double()
    summed = block.sum_over_instances(function, factors, above)
    integrated = block.integrate(function, measure, above)
    assert summed.shape == (count, moments)
    for j in range(moments):
        terms = [factors[g] * direct(block, window, j, g, nodes, function, above) for g in range(nodes)]
        torch.testing.assert_close(summed[:, j], sum(terms))
    for g in range(nodes):
        terms = [measure[:, j] * direct(block, window, j, g, nodes, function, above) for j in range(moments)]
        torch.testing.assert_close(integrated[g], sum(terms).sum())


def test_blocks_hold_all_nodes_once(monkeypatch):
    nodes = torch.arange(50, dtype=torch.float64)
    whole = the_only_block(100, nodes)
    monkeypatch.setattr(random_subsets, "NUMBERS", 2000)
    blocks = list(RandomSubsets.blocks(100, nodes))
    assert len(blocks) > 1
    assert torch.equal(torch.cat([block.t for block in blocks]), whole.t)
    assert torch.equal(torch.cat([block.measure for block in blocks]), whole.measure)
