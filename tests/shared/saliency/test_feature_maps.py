import pytest
from torch import nn

from shared.saliency.feature_maps import last_feature_layer
from shared.saliency.grad_cam import GradCAM


class Reused(nn.Module):
    """One convolution, used twice, and a branch that leads nowhere."""

    def __init__(self):
        super().__init__()
        self.layer, self.idle, self.head = nn.Conv2d(1, 1, 3), nn.Conv2d(1, 1, 3), nn.Linear(64, 2)

    def forward(self, image):
        self.idle(image)
        return self.head(self.layer(self.layer(image)).flatten(1))


def test_the_last_convolution_is_found_with_what_normalises_and_rectifies_it(network):
    assert last_feature_layer(network) == "features.4"
    blocks = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Sequential(nn.Conv2d(2, 2, 3), nn.BatchNorm2d(2), nn.ReLU()))
    assert last_feature_layer(nn.Sequential(blocks, nn.AdaptiveAvgPool2d(1), nn.ReLU())) == "0.1.2"


def test_a_network_without_convolution_is_refused(linear):
    with pytest.raises(ValueError, match=r"no nn\.Conv2d"):
        GradCAM(linear)


def test_an_unknown_layer_is_refused_with_the_choices(network):
    with pytest.raises(ValueError, match=r"no layer 'layer4'; its convolutions are \['features.0', 'features.3'\]"):
        GradCAM(network, "layer4")


@pytest.mark.parametrize(
    ("layer", "message"),
    [("layer", "must run once per forward pass, it ran 2 times"), ("idle", "logits do not depend on layer 'idle'")],
)
def test_a_layer_that_cannot_be_explained_is_refused(images, layer, message):
    with pytest.raises(ValueError, match=message):
        GradCAM(Reused().double(), layer).attribute(images, 0)


def test_a_layer_without_maps_is_refused(network, images):
    with pytest.raises(ValueError, match=r"must return feature maps \(B, F, h, w\), found \(4, 16\)"):
        GradCAM(network, "head.0").attribute(images)
