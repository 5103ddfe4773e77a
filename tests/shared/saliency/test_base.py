"""What all methods share, tried on every one of them."""

import pytest
import torch
from monai.data import MetaTensor
from torch import nn

from shared.saliency.controls import EdgeMap, RandomMap
from shared.saliency.evet import EVET
from shared.saliency.fimf_score_cam import FIMFScoreCAM
from shared.saliency.grad_cam import GradCAM
from shared.saliency.grad_cam_plus_plus import GradCAMPlusPlus, SmoothGradCAMPlusPlus
from shared.saliency.guided_backpropagation import GuidedBackpropagation
from shared.saliency.guided_backpropagation_x_input import GuidedBackpropagationXInput
from shared.saliency.input_gradient import InputXGradient
from shared.saliency.integrated_gradients import IntegratedGradients
from shared.saliency.lime import LIME
from shared.saliency.lrp import LRP
from shared.saliency.occlusion import Occlusion
from shared.saliency.rise import RISE
from shared.saliency.score_cam import ScoreCAM
from shared.saliency.smooth_grad import SmoothGrad
from shared.saliency.untrained import UntrainedMap

METHODS = {
    "input_x_gradient": InputXGradient,
    "guided_backpropagation": GuidedBackpropagation,
    "guided_backpropagation_x_input": GuidedBackpropagationXInput,
    "lrp": lambda network: LRP(network, epsilon=0.1),
    "lrp_gamma": lambda network: LRP(network, "gamma"),
    "smooth_grad": lambda network: SmoothGrad(network, samples=5, chunk_size=7),
    "smooth_grad_x_input": lambda network: SmoothGrad(network, samples=5, times_input=True, chunk_size=3),
    "integrated_gradients": lambda network: IntegratedGradients(network, steps=8, chunk_size=3),
    "grad_cam": GradCAM,
    "grad_cam_plus_plus": GradCAMPlusPlus,
    "smooth_grad_cam_plus_plus": lambda network: SmoothGradCAMPlusPlus(network, samples=5, chunk_size=7),
    "score_cam": lambda network: ScoreCAM(network, chunk_size=3),
    "fimf_score_cam": lambda network: FIMFScoreCAM(network, chunk_size=3),
    "lime": lambda network: LIME(network, segments=9, samples=30, chunk_size=7),
    "occlusion": lambda network: Occlusion(network, window=5, stride=2, chunk_size=7),
    "rise": lambda network: RISE(network, masks=20, cells=3, chunk_size=7),
    "rise_logit": lambda network: RISE(network, masks=20, cells=3, score="logit"),
    "evet": lambda network: EVET(network, GradCAM(network)),
}
CONTROLS = {
    "random": RandomMap,
    "edges": EdgeMap,
    "untrained": lambda network: UntrainedMap(InputXGradient(network)),
}


@pytest.fixture(params=[*METHODS, *CONTROLS])
def method(request, network):
    return {**METHODS, **CONTROLS}[request.param](network)


@pytest.fixture(params=METHODS)
def explaining(request, network):
    return METHODS[request.param](network)


def test_a_batch_is_explained_like_its_images(method, images):
    target = torch.tensor([0, 2, 1, 2])
    batched = method.attribute(images, target)
    single = torch.cat([method.attribute(images[i : i + 1], int(target[i])) for i in range(len(images))])
    assert batched.shape == images.shape
    assert batched.abs().max() > 0
    torch.testing.assert_close(batched, single, rtol=1e-6, atol=1e-9)


def test_the_target_matters_and_none_is_the_predicted_class(explaining, network, images):
    predicted = network.eval()(images).argmax(1)
    torch.testing.assert_close(explaining.attribute(images), explaining.attribute(images, predicted), rtol=0, atol=0)
    assert not torch.allclose(explaining.attribute(images), explaining.attribute(images, (predicted + 1) % 3))


def test_several_classes_are_explained_like_each(method, network, images):
    logits, maps = method.attribute_classes(images, [2, 0])
    expected = torch.stack([method.attribute(images, 2), method.attribute(images, 0)], dim=1)
    assert maps.shape == (4, 2, 1, 12, 12)
    torch.testing.assert_close(maps, expected, rtol=1e-9, atol=1e-12)
    assert torch.equal(logits, network.eval()(images))
    assert not logits.requires_grad
    assert not maps.requires_grad
    every = method.attribute_classes(images)
    assert torch.equal(every.maps[:, [2, 0]], maps)
    assert every.maps.shape[1] == every.logits.shape[1] == 3


def test_classes_of_colour_images_fill_every_channel(network, images):
    from tests.shared.saliency.conftest import SmallNetwork

    torch.manual_seed(0)
    coloured = SmallNetwork(channels=2).double()
    images = torch.cat([images, 1 - images], dim=1)
    for name in ("grad_cam", "lime", "occlusion", "rise", "lrp", "score_cam"):
        method = METHODS[name](coloured)
        maps = method.attribute_classes(images, [1]).maps
        assert maps.shape == (4, 1, 2, 12, 12)
        torch.testing.assert_close(maps[:, 0], method.attribute(images, 1), rtol=1e-9, atol=1e-12)


ONE_PASS = ("input_x_gradient", "guided_backpropagation", "guided_backpropagation_x_input", "lrp", "lrp_gamma")
ONE_PASS += ("grad_cam", "grad_cam_plus_plus")


@pytest.mark.parametrize(
    ("name", "images_seen"), [*((name, 4) for name in ONE_PASS), ("lime", 4 + 4 * 30), ("occlusion", 4 + 4 * 25)]
)
def test_classes_share_the_forward_passes(network, images, name, images_seen):
    seen = []
    network.register_forward_pre_hook(lambda _module, arguments: seen.append(len(arguments[0])))
    METHODS[name](network).attribute_classes(images)
    assert sum(seen) == images_seen


def test_everything_is_left_as_found(method, network, images):
    network.head[2].eval()
    modes = {name: module.training for name, module in network.named_modules()}
    weights = {name: value.clone() for name, value in network.state_dict().items()}
    kept = torch.full_like(network.head[0].weight, 7.0)
    network.head[0].weight.grad = kept.clone()
    inputs = images.clone().requires_grad_()
    torch.manual_seed(11)
    state = torch.get_rng_state()
    maps = method.attribute(inputs)
    method.attribute_classes(inputs)
    assert {name: module.training for name, module in network.named_modules()} == modes
    assert all(torch.equal(value, weights[name]) for name, value in network.state_dict().items())
    assert torch.equal(network.head[0].weight.grad, kept)
    assert network.head[3].weight.grad is None
    assert inputs.grad is None
    assert inputs.requires_grad
    assert torch.equal(inputs, images)
    assert torch.equal(torch.get_rng_state(), state)
    assert not maps.requires_grad
    assert all(parameter.requires_grad for parameter in network.parameters())
    assert not any(module._forward_hooks or module._backward_hooks for module in network.modules())


def test_a_failure_leaves_no_trace(explaining, network, images):
    with pytest.raises((ValueError, AssertionError), match=r"target must be in \[0, 2\]"):
        explaining.attribute(images, 5)
    with pytest.raises(ValueError, match=r"at least one class in \[0, 2\], found \[0, 3\]"):
        explaining.attribute_classes(images, [0, 3])
    assert all(parameter.requires_grad for parameter in network.parameters())
    assert all(module.training for module in network.modules())
    assert not any(module._forward_hooks or module._backward_hooks for module in network.modules())


def test_gradients_are_enabled_inside(method, images):
    expected = method.attribute(images)
    for outer in (torch.no_grad, torch.inference_mode):
        with outer():
            torch.testing.assert_close(method.attribute(images), expected, rtol=0, atol=0)
            maps = method.attribute_classes(images, [1]).maps
        torch.testing.assert_close(maps[:, 0], method.attribute(images, 1), rtol=1e-9, atol=1e-12)


def test_frozen_networks_are_explained(method, network, images):
    expected = method.attribute(images)
    network.requires_grad_(False)
    torch.testing.assert_close(method.attribute(images), expected, rtol=0, atol=0)


def test_meta_tensors_are_read_as_plain_ones(method, images):
    maps = method.attribute(MetaTensor(images), MetaTensor(torch.tensor([0, 2, 1, 2])))
    assert type(maps) is torch.Tensor
    torch.testing.assert_close(maps, method.attribute(images, torch.tensor([0, 2, 1, 2])), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("spoil", "error", "message"),
    [
        (lambda images: images[0], ValueError, r"batch \(B, C, H, W\), found shape \(1, 12, 12\)"),
        (lambda images: images[:0], ValueError, "non-empty"),
        (lambda images: (images * 9).long(), TypeError, "floating-point type, found torch.int64"),
        (lambda images: images.numpy(), TypeError, "must be a tensor, found ndarray"),
        (lambda images: images.clone().index_fill_(0, torch.tensor([2]), torch.nan), ValueError, r"images \[2\]"),
    ],
)
def test_unusable_inputs_are_refused(network, images, spoil, error, message):
    with pytest.raises(error, match=message):
        GradCAM(network).attribute(spoil(images))


def test_what_is_no_classifier_is_refused(images):
    with pytest.raises(ValueError, match=r"must return logits \(4, K\), found \(4, 2, 10, 10\)"):
        InputXGradient(nn.Conv2d(1, 2, 3).double()).attribute(images)


SLOPES = {"guided_backpropagation", "smooth_grad"}
EFFECTS = {"input_x_gradient", "smooth_grad_x_input", "integrated_gradients", "lime", "random", "lrp", "lrp_gamma"}
EFFECTS |= {"guided_backpropagation_x_input", "occlusion", "rise_logit", "untrained"}


@pytest.mark.parametrize("name", [*METHODS, *CONTROLS])
def test_a_method_says_what_of_its_maps_counts(name, network, images):
    method = {**METHODS, **CONTROLS}[name](network)
    assert method.sign == ("absolute" if name in SLOPES else "signed" if name in EFFECTS else "positive")
    assert bool((method.attribute(images, 1) < 0).any()) == (method.sign != "positive")


def test_the_enhancer_takes_the_sign_of_what_it_enhances(network):
    assert EVET(network, GuidedBackpropagation(network)).sign == "absolute"
