"""Fixed masks: the samples of an exported network are those that the bundle draws."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from shared.calibration.monte_carlo_dropout import MonteCarloDropout
from shared.export.monte_carlo_export import MonteCarloExport, PredictionAndSamples

# made in each test, after its seed
HEADS = {
    "dropout last": lambda: [nn.Linear(18, 7), nn.ReLU(), nn.Dropout(0.5), nn.Linear(7, 3)],
    "dropout first": lambda: [nn.Dropout(0.3), nn.Linear(18, 7), nn.ReLU(), nn.Linear(7, 3)],
    "between": lambda: [nn.Linear(18, 7), nn.ReLU(), nn.Dropout(0.5), nn.Linear(7, 5), nn.ReLU(), nn.Linear(5, 3)],
    "every layer": lambda: [nn.Dropout(0.2), nn.Linear(18, 7), nn.Dropout(0.4), nn.ReLU(), nn.Linear(7, 3)],
}


class Network(nn.Module):
    def __init__(self, head):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU())
        self.head = nn.Sequential(*head)

    def forward(self, image):
        return self.head(self.features(image).flatten(1))


@pytest.mark.parametrize("name", HEADS)
def test_samples_are_those_of_the_bundle(name):
    torch.manual_seed(0)
    network = Network(HEADS[name]()).eval()
    drawn = MonteCarloDropout(network, samples=11, seed=4)
    images = torch.randn(5, 1, 5, 5)
    exported = MonteCarloExport(network, drawn.masks()).eval()
    logits, samples = PredictionAndSamples(exported)(images)
    torch.testing.assert_close(samples, drawn.logits(images))
    torch.testing.assert_close(logits, network(images))
    assert samples.std(dim=1).max() > 0, "the samples differ"
    scripted = torch.jit.script(exported)
    torch.testing.assert_close(scripted.logit_samples(images), samples)
    torch.testing.assert_close(scripted(images), logits)


def test_weights_may_be_loaded_later():
    torch.manual_seed(0)
    network = Network(HEADS["between"]()).eval()
    exported = MonteCarloExport(network, MonteCarloDropout(network, samples=3, seed=0).masks())
    images = torch.randn(2, 1, 5, 5)
    network.load_state_dict({name: torch.randn_like(value) for name, value in network.state_dict().items()})
    torch.testing.assert_close(
        exported.logit_samples(images), MonteCarloDropout(network, samples=3, seed=0).logits(images)
    )


def test_without_dropout_there_is_nothing_to_sample():
    with pytest.raises(ValueError, match="nothing to sample"):
        MonteCarloExport(Network([nn.Linear(18, 3)]), [])
