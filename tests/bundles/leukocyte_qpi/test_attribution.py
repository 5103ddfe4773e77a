"""The attribution methods on the bundle's networks, made as a bundle's config makes them."""

import pytest
import torch
from captum.attr import LayerAttribution, LayerGradCam
from monai.bundle import ConfigParser

METHODS = {
    "lime": {"_target_": "shared.saliency.lime.LIME", "segments": 16, "samples": 40},
    "guided_backpropagation": {"_target_": "shared.saliency.guided_backpropagation.GuidedBackpropagation"},
    "input_x_gradient": {"_target_": "shared.saliency.input_gradient.InputXGradient"},
    "smooth_grad": {"_target_": "shared.saliency.smooth_grad.SmoothGrad", "samples": 4},
    "integrated_gradients": {"_target_": "shared.saliency.integrated_gradients.IntegratedGradients", "steps": 8},
    "grad_cam": {"_target_": "shared.saliency.grad_cam.GradCAM"},
    "grad_cam_plus_plus": {"_target_": "shared.saliency.grad_cam_plus_plus.GradCAMPlusPlus"},
    "smooth_grad_cam_plus_plus": {
        "_target_": "shared.saliency.grad_cam_plus_plus.SmoothGradCAMPlusPlus",
        "samples": 4,
    },
    "score_cam": {"_target_": "shared.saliency.score_cam.ScoreCAM"},
    "fimf_score_cam": {"_target_": "shared.saliency.fimf_score_cam.FIMFScoreCAM"},
    "evet": {
        "_target_": "shared.saliency.evet.EVET",
        "method": {"_target_": "shared.saliency.grad_cam_plus_plus.GradCAMPlusPlus", "network": "@network"},
        "transformations": [{}, {"mirror": True}, {"rotation": 10, "shift": [0.0, 0.1]}],
    },
}
LAYERS = {"LeNet5": "features.4", "AlexNet": "features.11"}


@pytest.fixture(params=LAYERS)
def network(request, bundle_scripts):
    """A network of the bundle whose classes differ visibly, in training mode and with dropout."""
    torch.manual_seed(2)
    network = getattr(bundle_scripts("leukocyte_qpi")("networks"), request.param)(num_classes=4, dropout=0.5)
    for parameter in network.parameters():
        if parameter.ndim > 1:
            torch.nn.init.kaiming_normal_(parameter)
    return network.train()


@pytest.fixture
def images():
    return torch.rand(3, 1, 50, 50, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", METHODS)
def test_a_config_makes_a_method_that_explains_any_class(network, images, name):
    config = {"network": network, "method": {**METHODS[name], "network": "@network"}}
    method = ConfigParser(config).get_parsed_content("method")
    maps = [method.attribute(images, torch.full((3,), label)) for label in range(4)]
    assert all(found.shape == images.shape and found.isfinite().all() for found in maps)
    assert sum(found.abs().amax((1, 2, 3)) for found in maps).min() > 0
    assert not all(torch.allclose(maps[0], other) for other in maps[1:])
    with torch.no_grad():
        predicted = network.eval()(images).argmax(1)
        network.train()
        # the evaluator of MONAI calls under no_grad, and dropout must not act
        torch.testing.assert_close(method.attribute(images), method.attribute(images, predicted))
    assert network.training


def test_the_default_layer_is_the_last_convolution_rectified(network, images):
    config = {"network": network, "method": {**METHODS["grad_cam"], "network": "@network"}}
    method = ConfigParser(config).get_parsed_content("method")
    assert method.layer == LAYERS[type(network).__name__]
    network.eval()
    coarse = LayerGradCam(network, network.get_submodule(method.layer)).attribute(
        images, target=2, relu_attributions=True
    )
    expected = LayerAttribution.interpolate(coarse, (50, 50), interpolate_mode="bilinear").detach()
    torch.testing.assert_close(method.attribute(images, 2), expected)
