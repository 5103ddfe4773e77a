import pytest
import torch
from torch import nn

from shared.saliency.fimf_score_cam import FIMFScoreCAM, network_after
from tests.oracles.saliency import fimf_score_cam


class Bypassed(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer, self.head = nn.Conv2d(1, 1, 3, padding=1), nn.Linear(144, 2)

    def forward(self, image):
        return self.head((image + self.layer(image)).flatten(1))


class Undecided(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer, self.head = nn.Conv2d(1, 1, 3, padding=1), nn.Linear(144, 2)

    def forward(self, image):
        maps = self.layer(image)
        return self.head(maps.flatten(1) if maps.sum() > 0 else -maps.flatten(1))


def test_equals_the_documented_reading_one_template_at_a_time(network, images):
    target = torch.tensor([0, 1, 2, 0])
    with torch.no_grad():
        network.features[3].bias[2] = -100.0  # a dead channel has an empty template
    maps = FIMFScoreCAM(network, chunk_size=6).attribute(images, target)
    network.eval()
    for image, label, found in zip(images, target, maps, strict=True):
        torch.testing.assert_close(found, fimf_score_cam(network.features, network.rest, image, int(label)))
    assert maps.max() > 0


def test_the_convolutions_run_once(network, images):
    runs = []
    hook = network.features[0].register_forward_hook(lambda *_: runs.append(1))
    FIMFScoreCAM(network, chunk_size=2).attribute(images)
    hook.remove()
    assert len(runs) == 1


@pytest.mark.parametrize("layer", ["features.0", "features.4", "features", "head.1"])
def test_the_part_after_a_layer_continues_the_network(network, images, layer):
    network.eval()
    caught = []
    hook = network.get_submodule(layer).register_forward_hook(lambda _m, _i, output: caught.append(output.clone()))
    logits = network(images)
    hook.remove()
    part = network_after(network, layer)
    torch.testing.assert_close(part(caught[0]), logits)
    with torch.no_grad():
        network.head[3].bias += 1  # the parameters are shared
    torch.testing.assert_close(part(caught[0]), logits + 1)


def test_a_way_around_the_layer_is_refused():
    with pytest.raises(ValueError, match="on a way around layer 'layer'"):
        FIMFScoreCAM(Bypassed())


def test_a_network_that_cannot_be_traced_is_refused():
    with pytest.raises(ValueError, match="cannot trace Undecided"):
        FIMFScoreCAM(Undecided())


def test_meaningless_parameters_are_refused(network):
    with pytest.raises(ValueError, match="chunk_size"):
        FIMFScoreCAM(network, chunk_size=0)
