"""Maps in batches are those of all images at once, whatever the size of the batches."""

from __future__ import annotations

import pytest
import torch

from shared.saliency.batched_maps import batched_class_maps, batched_maps
from shared.saliency.input_gradient import InputXGradient


@pytest.mark.parametrize("batch_size", [1, 3, 7, 8])
def test_batches_are_joined_in_order_and_channels_added_up(batch_size):
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(2 * 5 * 4, 3)).eval()
    images, targets = torch.randn(7, 2, 5, 4), torch.tensor([0, 2, 1, 1, 0, 2, 2])
    found = batched_maps(InputXGradient(network), images, targets, batch_size)
    weights = network[1].weight.detach().reshape(3, 2, 5, 4)
    assert found == pytest.approx((images * weights[targets]).sum(dim=1).numpy(), abs=1e-6)


@pytest.mark.parametrize("batch_size", [3, 7])
def test_maps_of_all_classes_are_those_of_each(batch_size):
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(2 * 5 * 4, 3)).eval()
    images, method = torch.randn(7, 2, 5, 4), InputXGradient(network)
    found = batched_class_maps(method, images, batch_size)
    assert found.shape == (7, 3, 5, 4)
    for label in range(3):
        expected = batched_maps(method, images, torch.full((7,), label), 7)
        assert found[:, label] == pytest.approx(expected, abs=1e-6)
