import pytest
import torch

from shared.mil.shapley.log_weight_grid import LogWeightGrid, narrow_gaps


@pytest.mark.parametrize("n", [1, 7, 40_000])
def test_sums_and_interpolates_smooth_functions(n):
    log_weights = 5 + 8 * torch.randn(n, dtype=torch.float64, generator=torch.Generator().manual_seed(n))
    values = torch.rand(n, dtype=torch.float64, generator=torch.Generator().manual_seed(n + 1))
    grid = LogWeightGrid(log_weights)
    relative = log_weights - log_weights.max()

    def function(y):
        return torch.sin(y) / (1 + torch.exp(-y - 4))

    interpolated = grid.interpolate(torch.stack([function(grid.nodes), grid.nodes], dim=1))
    assert (interpolated[:, 0] - function(relative)).abs().max() < 1e-12
    assert (interpolated[:, 1] - relative).abs().max() < 1e-12
    total = grid.sum_weights(values) @ function(grid.nodes)
    assert total.item() == pytest.approx((values * function(relative)).sum().item(), abs=1e-12 * n)


def test_the_error_is_relative_to_the_function_nearby():
    grid = LogWeightGrid(torch.tensor([0.0, -37.123], dtype=torch.float64))
    value = grid.interpolate(grid.nodes.exp()[:, None])[1, 0]
    assert value.item() == pytest.approx(torch.tensor(-37.123, dtype=torch.float64).exp().item(), rel=1e-12)


def test_wide_gaps_are_narrowed_from_the_heaviest_down():
    log_weights = torch.tensor([-1000.0, 0.0, -1000.5, -30.0, -5000.0], dtype=torch.float64)
    narrowed, shift = narrow_gaps(log_weights)
    torch.testing.assert_close(narrowed + shift, log_weights)
    ascending = narrowed.sort().values
    assert shift[1] == shift[3] == 0
    assert narrowed[0] - narrowed[2] == 0.5
    assert ascending.diff().tolist() == pytest.approx([41.609, 0.5, 41.609, 30.0], abs=1e-3)
    assert narrowed.argsort().tolist() == log_weights.argsort().tolist()


def test_other_weights_stay_as_they_are():
    for log_weights in (torch.tensor([0.0, -39.0]), -39 * torch.arange(4.0)):
        narrowed, shift = narrow_gaps(log_weights.double())
        assert shift is None
        assert torch.equal(narrowed, log_weights.double())


def test_differences_among_light_instances_outlive_their_distance_from_the_heaviest():
    narrowed, _ = narrow_gaps(torch.tensor([1e30, 0.0, 3.0], dtype=torch.float64))
    assert (narrowed[2] - narrowed[1]).item() == pytest.approx(3)


def test_nodes_grow_with_the_range_and_not_with_the_instances():
    few = LogWeightGrid(torch.tensor([0.0, -40.0], dtype=torch.float64))
    many = LogWeightGrid(torch.linspace(-40, 0, 5000, dtype=torch.float64))
    assert len(few.nodes) == len(many.nodes)
    assert len(LogWeightGrid(torch.linspace(-80, 0, 5000, dtype=torch.float64)).nodes) < 2 * len(few.nodes)
