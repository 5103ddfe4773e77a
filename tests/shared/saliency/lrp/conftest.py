"""Networks that do what makes relevance go wrong: concatenation, functional rectifiers, reuse, changes in place."""

import pytest
import torch
import torch.nn.functional as F
from monai.networks.nets import DenseNet
from torch import nn


def randomise(network, seed=0, std=0.4):
    """Give a network weights, biases and stored statistics that differ from nothing, in float64."""
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            module.running_mean.copy_(torch.randn(module.num_features, generator=generator) * 0.2)
            module.running_var.copy_(torch.rand(module.num_features, generator=generator) + 0.5)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * std)
    return network.double().eval()


def small_densenet():
    """MONAI's DenseNet of two blocks for small images."""
    network = DenseNet(2, 1, 3, init_features=4, growth_rate=3, block_config=(2, 2), bn_size=2)
    return randomise(network)


class Winding(nn.Module):
    """A module and a normalisation used twice, both functional rectifiers, concatenation, a sum, changes in place."""

    def __init__(self):
        super().__init__()
        self.first, self.again = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.norm, self.head = nn.BatchNorm2d(4), nn.Linear(8, 3)

    def forward(self, image):
        x = torch.relu(self.norm(self.first(image)))
        y = F.relu(self.norm(self.again(x)))
        z = self.again(y)
        z += x
        F.relu_(z)
        z = torch.cat([z, F.max_pool2d(y, 3, 1, 1) - 0.5 * x], dim=1)
        return self.head(F.adaptive_avg_pool2d(z, 2).mean((2, 3)))


@pytest.fixture
def grey():
    """Images of either sign, ``(3, 1, 32, 32)``."""
    return torch.randn(3, 1, 32, 32, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.fixture
def densenet():
    return small_densenet()


@pytest.fixture
def winding():
    return randomise(Winding())
