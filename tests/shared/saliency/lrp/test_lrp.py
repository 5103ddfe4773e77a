"""LRP on networks that go wrong elsewhere, and inside MONAI's evaluator."""

import gc

import pytest
import torch
import torch.nn.functional as F
from captum.attr import LRP as CaptumLRP  # noqa: N811
from captum.attr._utils.lrp_rules import EpsilonRule
from monai.engines import SupervisedEvaluator
from monai.inferers import Inferer
from monai.networks.nets import DenseNet121, resnet18
from monai.networks.nets.densenet import _DenseLayer
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from shared.saliency.input_gradient import InputXGradient
from shared.saliency.lrp import LRP
from tests.oracles.lrp import bias_ledger
from tests.shared.saliency.lrp.conftest import Winding, randomise, small_densenet

pytestmark = pytest.mark.filterwarnings("ignore:Input Tensor 0 did not already require gradients")


def relative_difference(found, expected):
    return float((found - expected).norm() / expected.norm())


def small_resnet():
    return randomise(resnet18(spatial_dims=2, n_input_channels=1, num_classes=3, conv1_t_stride=2), std=0.05)


NETWORKS = {"densenet": small_densenet, "resnet": small_resnet, "winding": lambda: randomise(Winding())}


@pytest.mark.parametrize("name", NETWORKS)
def test_without_epsilon_it_is_input_x_gradient(name, grey):
    network = NETWORKS[name]()
    logits, maps = LRP(network, epsilon=1e-9).attribute_classes(grey)
    expected = InputXGradient(network).attribute_classes(grey)
    assert torch.equal(logits, network(grey))
    assert relative_difference(maps, expected.maps) < 1e-3
    assert relative_difference(LRP(network, epsilon=0.5).attribute_classes(grey).maps, expected.maps) > 0.01


@pytest.mark.parametrize("name", NETWORKS)
def test_the_ledger_of_biases_balances(name, grey):
    """Pixels and biases together make up the logit; the pixels alone do not."""
    network = NETWORKS[name]()
    target = torch.tensor([0, 1, 2])
    logits = network(grey).gather(1, target[:, None])[:, 0].detach()
    pixels = LRP(network, epsilon=1e-9).attribute(grey, target).sum(dim=(1, 2, 3))
    torch.testing.assert_close(pixels + bias_ledger(network, grey, target), logits, rtol=1e-4, atol=1e-6)
    assert ((pixels - logits).abs() > 0.01 * logits.abs()).any()


def test_densenet_equals_captum_where_its_layers_get_a_clone(densenet, grey, monkeypatch):
    """captum mixes up the two uses of a tensor that goes into a layer and past it."""
    target = torch.tensor([0, 1, 2])
    maps = LRP(densenet, epsilon=1e-9).attribute(grey, target)
    monkeypatch.setattr(_DenseLayer, "forward", lambda self, x: torch.cat([x, self.layers(x.clone())], 1))
    for module in densenet.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = False
        if isinstance(module, nn.Flatten):
            module.rule = EpsilonRule(1e-12)
    expected = CaptumLRP(densenet).attribute(grey.clone(), target=target)
    assert relative_difference(maps, expected.detach()) < 1e-4


def test_layers_merged_for_deployment_give_the_same_relevance(grey):
    class Merged(nn.Module):
        def __init__(self, conv, norm, head):
            super().__init__()
            self.conv, self.norm, self.head = conv, norm, head

        def forward(self, image):
            return self.head(F.relu(self.norm(self.conv(image))).mean((2, 3)))

    parts = randomise(nn.ModuleList([nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 2)]))
    separate = Merged(*parts)
    merged = Merged(fuse_conv_bn_eval(parts[0], parts[1]), nn.Identity(), parts[2])
    for options in ({"epsilon": 0.3}, {}, {"rule": "gamma"}):
        expected = LRP(merged, **options).attribute(grey, 0)
        torch.testing.assert_close(LRP(separate, **options).attribute(grey, 0), expected, rtol=1e-9, atol=1e-12)


def test_nothing_is_kept_afterwards(densenet, grey):
    gc.collect()
    gc.disable()
    try:
        LRP(densenet).attribute_classes(grey)
        LRP(densenet, "gamma").attribute_classes(grey)
        kept = [item for item in gc.get_objects() if type(item) is torch.Tensor and hasattr(item, "_relevance_trace")]
    finally:
        gc.enable()
    assert not kept


def test_full_size_densenet_is_followed():
    network = DenseNet121(spatial_dims=2, in_channels=1, out_channels=2).eval()
    image = torch.rand(1, 1, 32, 32)
    logits, maps = LRP(network, epsilon=1e-6).attribute_classes(image)
    assert torch.equal(logits, network(image))
    plain = InputXGradient(network).attribute_classes(image).maps
    assert relative_difference(maps, plain) < 0.05
    assert relative_difference(LRP(network).attribute_classes(image).maps, plain) > 0.5


@pytest.mark.parametrize("amp", [False, True])
def test_inside_an_evaluator(densenet, grey, amp):
    densenet.float().train()
    expected = LRP(densenet).attribute_classes(grey.float())

    class Explaining(Inferer):
        def __call__(self, inputs, network):
            assert not torch.is_grad_enabled()
            found.append(LRP(network).attribute_classes(inputs))
            return found[-1].logits

    found = []
    evaluator = SupervisedEvaluator(
        device=torch.device("cpu"),
        val_data_loader=[{"image": grey.float(), "label": torch.zeros(3)}],
        network=densenet,
        inferer=Explaining(),
        amp=amp,
        decollate=False,
    )
    evaluator.run()
    torch.testing.assert_close(found[0].maps, expected.maps, rtol=0, atol=0)
    torch.testing.assert_close(found[0].logits, expected.logits, rtol=0, atol=0)
    assert not any(module._forward_hooks or module._backward_hooks for module in densenet.modules())
