"""A method on a network without training: it is that method on a network with the weights of no training at all."""

from __future__ import annotations

import torch
from torch import nn

from shared.mil.levels import EmbeddingLevel
from shared.mil.pooling.attention import AttentionPooling
from shared.saliency.bags.gradient_x_input import GradientXInput
from shared.saliency.bags.untrained import UntrainedValues
from shared.saliency.input_gradient import InputXGradient
from shared.saliency.sanity.layers import untrained_network
from shared.saliency.untrained import UntrainedMap


def test_maps_are_those_of_the_network_with_random_weights():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(3 * 16, 2))
    images, target = torch.randn(2, 1, 6, 6), torch.tensor([0, 1])
    random = untrained_network(network, lambda net: net(images[:1]), seed=4)
    control = UntrainedMap(InputXGradient(network), seed=4)
    expected = InputXGradient(random).attribute(images, target)
    torch.testing.assert_close(control.attribute(images, target), expected)
    assert not torch.allclose(InputXGradient(network).attribute(images, target), expected)
    # what is trained later does not matter to it, and the class without a target is the trained network's
    with torch.no_grad():
        network[3].weight.mul_(3)
    torch.testing.assert_close(control.attribute(images, target), expected)
    predicted = network.eval()(images).argmax(dim=1)
    torch.testing.assert_close(control.attribute(images), InputXGradient(random).attribute(images, predicted))


def test_values_are_those_of_the_model_with_random_weights():
    torch.manual_seed(0)
    model, features = EmbeddingLevel(AttentionPooling(5, 4), nn.Linear(5, 1)), torch.randn(7, 5)
    random = untrained_network(model, lambda net: net(features[:1], torch.tensor([1])), seed=1)
    found = UntrainedValues(GradientXInput(model), seed=1).attribute(features)
    torch.testing.assert_close(found, GradientXInput(random).attribute(features))
    assert not torch.allclose(found, GradientXInput(model).attribute(features))
