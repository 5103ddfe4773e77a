import pytest
import torch
from torch import nn

from shared.saliency.grad_cam_plus_plus import GradCAMPlusPlus, SmoothGradCAMPlusPlus
from tests.oracles.saliency import grad_cam_plus_plus, smooth_grad_cam_plus_plus

TARGET = torch.tensor([0, 1, 2, 0])


def test_equals_the_paper_with_derivatives_by_autograd(network, images):
    maps = GradCAMPlusPlus(network).attribute(images, TARGET)
    network.eval()
    for image, target, found in zip(images[:2], TARGET[:2], maps[:2], strict=True):
        expected = grad_cam_plus_plus(network.features, network.rest, image, int(target))
        torch.testing.assert_close(found, expected)
    assert (maps.amax((1, 2, 3)) > 0).all()


def test_closed_form_for_a_layer_that_is_summed():
    """S = sum_k c_k sum_ij A_k: the gradient is c_k everywhere, so alpha is 1 / (2 + c_k sum A_k)."""
    layer = nn.Conv2d(1, 2, 1, bias=False).double()
    head = nn.Linear(2 * 16, 1, bias=False).double()
    with torch.no_grad():
        layer.weight[:] = torch.tensor([1.0, 3.0]).view(2, 1, 1, 1)
        head.weight[:] = torch.tensor([2.0, -1.0]).repeat_interleave(16)
    image = torch.rand(1, 1, 4, 4, dtype=torch.float64)
    maps = GradCAMPlusPlus(nn.Sequential(layer, nn.Flatten(), head), "0").attribute(image, 0)
    weight = 16 * 2.0 / (2 + 2 * image.sum())
    torch.testing.assert_close(maps, weight * image)


def test_smooth_equals_the_paper_with_the_same_noise(network, images):
    method = SmoothGradCAMPlusPlus(network, samples=6, noise_level=0.4, seed=2, chunk_size=5)
    maps = method.attribute(images, TARGET)
    network.eval()
    draws = torch.randn(6, 1, 12, 12, generator=torch.Generator().manual_seed(2)).double()
    for image, target, found in zip(images, TARGET, maps, strict=True):
        noises = 0.4 * (image.max() - image.min()) * draws
        expected = smooth_grad_cam_plus_plus(network.features, network.rest, image, noises, int(target))
        torch.testing.assert_close(found, expected)
    assert not torch.allclose(maps, GradCAMPlusPlus(network).attribute(images, TARGET))


def test_smooth_without_noise_is_grad_cam_plus_plus(network, images):
    smooth = SmoothGradCAMPlusPlus(network, samples=3, noise_level=0.0).attribute(images, TARGET)
    torch.testing.assert_close(smooth, GradCAMPlusPlus(network).attribute(images, TARGET))


@pytest.mark.parametrize("method", [GradCAMPlusPlus, SmoothGradCAMPlusPlus])
def test_feature_maps_that_are_not_rectified_are_refused(network, images, method):
    with pytest.raises(ValueError, match=r"'features\.3' has negative feature maps"):
        method(network, "features.3").attribute(images)
