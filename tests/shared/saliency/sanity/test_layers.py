import copy

import pytest
import torch
from torch import nn

from shared.mil.pooling.attention_maximum import AttentionMaximumPooling
from shared.saliency.sanity.layers import layers_from_logit, redraw, untrained_network


class Tangled(nn.Module):
    """Registered in another order than it runs; one layer runs twice, one is used without being called."""

    def __init__(self):
        super().__init__()
        self.last = nn.Linear(4, 2)
        self.twice = nn.Linear(4, 4)
        self.first = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4, affine=False))
        self.around = nn.LayerNorm(4)
        self.uncalled = nn.Linear(4, 4)
        self.register_buffer("settings", torch.tensor([7.0]))

    def forward(self, x):
        x = self.twice(self.first(x)).relu()
        x = self.around(self.twice(x))
        return self.last(nn.functional.linear(x, self.uncalled.weight))


def run(network):
    return network(torch.ones(2, 3))


def test_layers_stand_in_the_order_of_the_forward_pass_reversed(network, images):
    assert layers_from_logit(network, lambda network: network(images[:1])) == [
        "head.3",
        "head.0",
        "features.3",
        "features.0",
    ]
    # what is registered behind a layer and never called stands beside it
    assert layers_from_logit(Tangled(), run) == ["last", "around", "uncalled", "twice", "first.1", "first.0"]


def test_looking_at_the_order_changes_nothing(network, images):
    state = copy.deepcopy(network.state_dict())
    layers_from_logit(network, lambda network: network(images))
    assert network.training
    assert all(torch.equal(value, state[key]) for key, value in network.state_dict().items())
    assert not any(module._forward_hooks for module in network.modules())


def test_without_parameters_nothing_can_be_randomised():
    with pytest.raises(ValueError, match="ReLU has no parameters"):
        layers_from_logit(nn.ReLU(), run)


def test_a_redrawn_layer_is_as_torch_initialises_it_and_all_else_stays():
    network = nn.Sequential(nn.Linear(400, 300), nn.ReLU(), nn.Linear(300, 5))
    with torch.no_grad():
        network[0].weight.fill_(9.0)
    before = copy.deepcopy(network.state_dict())
    redraw(network, ["0"], seed=3)
    weight = network[0].weight.detach()
    bound = 400**-0.5  # uniform within 1 / sqrt(inputs)
    assert 0.99 * bound < weight.abs().max() <= bound
    assert weight.mean().item() == pytest.approx(0, abs=0.01 * bound)
    assert weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.01)
    assert torch.equal(network[2].weight, before["2.weight"])


def test_draws_depend_on_seed_and_name_only():
    torch.manual_seed(0)
    networks = [Tangled() for _ in range(4)]
    state = torch.get_rng_state()
    redraw(networks[0], ["last", "twice"], seed=1)
    redraw(networks[1], ["twice"], seed=1)
    redraw(networks[2], ["twice"], seed=2)
    redraw(networks[3].double(), ["twice"], seed=1)
    assert torch.equal(torch.get_rng_state(), state)
    weights = [network.twice.weight for network in networks]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    assert torch.allclose(weights[0].double(), weights[3], atol=1e-6)
    assert not torch.equal(networks[0].last.weight[:, :2], networks[0].twice.weight[:2, :2])


def test_normalisation_forgets_its_statistics_and_becomes_the_identity():
    norm = nn.BatchNorm2d(3)
    with torch.no_grad():
        for value in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
            value.fill_(5.0)
    network = nn.Sequential(norm)
    redraw(network, layers_from_logit(network, lambda network: network(torch.ones(2, 3, 4, 4))), seed=0)
    x = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(network.eval()(x), x / (1 + norm.eps) ** 0.5)


def test_a_parameter_of_an_unknown_module_keeps_its_scale():
    pooling = AttentionMaximumPooling(2000, 4, gain=0.25)
    redraw(pooling, [""], seed=0)
    gain = pooling.gain.detach()
    assert gain.mean().item() == pytest.approx(0, abs=0.02)
    assert gain.std().item() == pytest.approx(0.25, rel=0.05)


def test_an_untrained_network_shares_nothing_with_the_trained_one(network, images):
    before = copy.deepcopy(network.state_dict())
    fresh = untrained_network(network, lambda network: network(images[:1]), seed=4)
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert not any(torch.equal(value, before[key]) for key, value in fresh.state_dict().items())
    assert not fresh.training


def test_settings_are_not_learnt():
    network = Tangled()
    assert untrained_network(network, run).settings.item() == 7.0
