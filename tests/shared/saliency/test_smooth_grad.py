import pytest
import torch
from captum.attr import NoiseTunnel, Saliency

from shared.saliency.noise import noisy_images
from shared.saliency.smooth_grad import SmoothGrad


def test_a_slope_is_measured_by_its_magnitude_and_its_product_with_the_image_by_its_sign(network):
    assert SmoothGrad(network).sign == "absolute"
    assert SmoothGrad(network, times_input=True).sign == "signed"


def test_equals_captum_with_the_same_noise(network, images):
    image = images[:1]
    maps = SmoothGrad(network, samples=32, noise_level=0.2, seed=9, chunk_size=5).attribute(image, 2)
    spread = 0.2 * float(image.max() - image.min())
    torch.manual_seed(9)
    tunnel = NoiseTunnel(Saliency(network.eval()))
    expected = tunnel.attribute(image, nt_type="smoothgrad", nt_samples=32, stdevs=spread, target=2, abs=False)
    torch.testing.assert_close(maps, expected.detach())


def test_a_linear_network_gives_its_weights_for_any_number_of_samples(linear, images):
    weights = linear[1].weight[0].detach().view(1, 1, 12, 12).expand_as(images)
    for samples in (1, 4, 64):
        torch.testing.assert_close(SmoothGrad(linear, samples=samples).attribute(images, 0), weights)
    torch.testing.assert_close(SmoothGrad(linear, times_input=True).attribute(images, 0), weights * images)


def test_noise_is_relative_to_the_range_of_each_image(network, images):
    maps = SmoothGrad(network, samples=4).attribute(images, 0)
    with torch.no_grad():
        network.features[0].weight.mul_(0.1)
    torch.testing.assert_close(SmoothGrad(network, samples=4).attribute(10 * images, 0), maps / 10)


def test_noise_has_the_stated_size_whatever_the_chunks(images):
    whole, chunked = (
        [torch.cat(part) for part in zip(*noisy_images(images, 500, 0.2, 3, size), strict=True)] for size in (2000, 7)
    )
    torch.testing.assert_close(whole, chunked, rtol=0, atol=0)
    copies, image = whole
    assert torch.bincount(image).tolist() == [500] * 4
    noise = copies - images[image]
    for i in range(4):
        spread = 0.2 * (images[i].max() - images[i].min())
        assert noise[image == i].std().item() == pytest.approx(spread.item(), rel=0.01)
        assert noise[image == i].mean().item() == pytest.approx(0, abs=0.005)


def test_the_seed_decides(network, images):
    first, again, other = (SmoothGrad(network, samples=3, seed=seed).attribute(images) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.allclose(first, other)


@pytest.mark.parametrize("wrong", [{"samples": 0}, {"chunk_size": 0}, {"noise_level": -0.1}])
def test_meaningless_parameters_are_refused(network, wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        SmoothGrad(network, **wrong)
