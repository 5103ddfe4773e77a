import pytest
import torch
from torch import nn

from shared.saliency.controls import EdgeMap
from shared.saliency.evet import EVET
from shared.saliency.grad_cam import GradCAM
from shared.saliency.image_transformation import ImageTransformation
from shared.saliency.input_gradient import InputXGradient

SYMMETRIES = [{"mirror": mirror, "quarter_turns": turns} for mirror in (False, True) for turns in range(4)]


def test_with_the_identity_alone_it_is_the_method(network, images):
    method = InputXGradient(network)
    enhanced = EVET(network, method, [ImageTransformation()])
    assert torch.equal(enhanced.attribute(images), method.attribute(images))


def test_it_is_the_mean_of_the_maps_brought_back(network, images):
    method = InputXGradient(network)
    target = torch.tensor([0, 1, 2, 0])
    enhanced = EVET(network, method, [{}, {"mirror": True}, {"quarter_turns": 1}])
    expected = (
        method.attribute(images, target)
        + method.attribute(images.flip(3), target).flip(3)
        + method.attribute(images.rot90(1, (2, 3)), target).rot90(-1, (2, 3))
    ) / 3
    torch.testing.assert_close(enhanced.attribute(images, target), expected)


def test_over_a_group_it_is_equivariant_where_the_method_is_not(network, images):
    method = InputXGradient(network)
    enhanced = EVET(network, method, SYMMETRIES)
    turned = images.rot90(1, (2, 3)).flip(3)
    torch.testing.assert_close(
        enhanced.attribute(turned, 1), enhanced.attribute(images, 1).rot90(1, (2, 3)).flip(3), rtol=1e-9, atol=1e-12
    )
    assert not torch.allclose(method.attribute(turned, 1), method.attribute(images, 1).rot90(1, (2, 3)).flip(3))


def test_an_equivariant_method_is_kept(images):
    """A pixel-wise network's input × gradient moves with the image, so the mean over valid pixels changes nothing."""
    network = nn.Sequential(nn.Conv2d(1, 2, 1, bias=False), nn.AdaptiveAvgPool2d(1), nn.Flatten()).double()
    smooth = nn.functional.interpolate(images, size=(60, 60), mode="bicubic")
    plain = InputXGradient(network).attribute(smooth, 1)
    enhanced = EVET(network, InputXGradient(network)).attribute(smooth, 1)
    torch.testing.assert_close(enhanced, plain, rtol=0, atol=0.06 * plain.abs().max().item())


def test_pixels_count_only_the_transformations_that_show_them(linear, images):
    """With a constant map a mean over all transformations instead of the valid ones would sink at the border."""

    class Constant(InputXGradient):
        def _attribute(self, images, target):
            return torch.ones_like(images)

    enhanced = EVET(linear, Constant(linear)).attribute(images, 0)
    torch.testing.assert_close(enhanced, torch.ones_like(images))


def test_the_class_of_the_original_is_explained_in_all_transformations(network, images):
    asked = []

    class Spy(InputXGradient):
        def _attribute(self, images, target):
            asked.append(target)
            return super()._attribute(images, target)

    EVET(network, Spy(network)).attribute(images)
    predicted = network.eval()(images).argmax(1)
    assert len(asked) == 11
    assert all(torch.equal(target, predicted) for target in asked)


def test_a_pixel_that_nothing_shows_is_refused(network, images):
    with pytest.raises(ValueError, match="shown by no transformation"):
        EVET(network, EdgeMap(network), [{"shift": [0.5, 0.0]}]).attribute(images)


def test_unusable_parameters_are_refused(network, linear):
    with pytest.raises(ValueError, match="another network"):
        EVET(linear, GradCAM(network))
    with pytest.raises(ValueError, match="found none"):
        EVET(network, GradCAM(network), [])
    with pytest.raises(ValueError, match="found 'wrap'"):
        EVET(network, GradCAM(network), padding="wrap")
