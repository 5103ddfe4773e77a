"""The network is MONAI's DenseNet121 with another name of its last layer, and all its randomness lies in the head."""

from __future__ import annotations

import pytest
import torch
from monai.networks.nets import DenseNet121

from shared.calibration.monte_carlo_dropout import MonteCarloDropout

SMALL = {"init_features": 8, "growth_rate": 4, "block_config": (2, 2)}


@pytest.fixture
def networks(bundle_scripts):
    return bundle_scripts("chexpert_informer")("networks")


def test_it_computes_what_monai_does(networks):
    torch.manual_seed(0)
    theirs = DenseNet121(spatial_dims=2, in_channels=1, out_channels=5).eval()
    ours = networks.ChestNetwork(5).eval()
    state = {key.replace("class_layers.out", "head.out"): value for key, value in theirs.state_dict().items()}
    ours.load_state_dict(state)
    images = torch.rand(2, 1, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(ours(images), theirs(images), rtol=0, atol=0)


def test_all_randomness_is_in_the_head(networks):
    torch.manual_seed(0)
    network = networks.ChestNetwork(5, dropout_prob=0.5, **SMALL).eval()
    images = torch.rand(3, 1, 64, 64)
    samples = MonteCarloDropout(network, samples=4000, seed=1).logits(images)
    with torch.no_grad():
        embedding, layer = network.embedding(images), network.head.out
        torch.testing.assert_close(network(images), layer(embedding))
    # units are kept with probability 1 - p: the mean is z, the variance of z_k p / (1 - p) sum_j (w_kj h_j)^2
    variance = (layer.weight.detach()[None] * embedding[:, None]).square().sum(dim=2)
    torch.testing.assert_close(samples.var(dim=1), variance, rtol=0.1, atol=0)
    torch.testing.assert_close(samples.mean(dim=1), network(images).detach(), rtol=0, atol=0.1)


def test_it_can_be_scripted(networks):
    network = networks.ChestNetwork(5, dropout_prob=0.2, **SMALL).eval()
    images = torch.rand(2, 1, 64, 64)
    torch.testing.assert_close(torch.jit.script(network)(images), network(images))


@pytest.mark.parametrize("dropout_prob", [-0.1, 1.0])
def test_a_probability_of_dropout_must_be_one(networks, dropout_prob):
    with pytest.raises(ValueError, match="dropout_prob must be in"):
        networks.ChestNetwork(5, dropout_prob=dropout_prob, **SMALL)
