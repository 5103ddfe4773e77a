import pytest
import torch
from captum.attr import LayerAttribution, LayerGradCam

from shared.saliency.grad_cam import GradCAM


@pytest.mark.parametrize("layer", ["features.4", "features.3", "features.0", "features.2"])
def test_equals_captum(network, images, layer):
    target = torch.tensor([0, 1, 2, 0])
    maps = GradCAM(network, layer).attribute(images, target)
    network.eval()
    network.features[1].inplace = False  # captum would read the map of features.0 after the rectifier
    module = network.get_submodule(layer)
    coarse = LayerGradCam(network, module).attribute(images, target=target, relu_attributions=True)
    expected = LayerAttribution.interpolate(coarse, (12, 12), interpolate_mode="bilinear")
    torch.testing.assert_close(maps, expected.detach())
    assert maps.max() > 0


def test_every_channel_of_the_image_carries_the_map(images):
    from tests.shared.saliency.conftest import SmallNetwork

    torch.manual_seed(0)
    maps = GradCAM(SmallNetwork(channels=3).double()).attribute(images.expand(4, 3, 12, 12), 0)
    assert maps.shape == (4, 3, 12, 12)
    assert torch.equal(maps[:, 0], maps[:, 2])
