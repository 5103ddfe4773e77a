import pytest
import torch

from shared.saliency.integrated_gradients import IntegratedGradients


def trapezoid(network, image, start, target, steps):
    """The definition, as a plain sum over the path of one image."""
    fractions = torch.linspace(0, 1, steps + 1, dtype=image.dtype).view(-1, 1, 1, 1)
    points = (start + fractions * (image - start)).requires_grad_()
    network(points)[:, target].sum().backward()
    return (image - start) * torch.trapezoid(points.grad, fractions.flatten(), dim=0)


def test_equals_the_integral(network, images):
    maps = IntegratedGradients(network, steps=400, chunk_size=50).attribute(images, 1)
    network.eval()
    expected = torch.stack([trapezoid(network, image, torch.zeros_like(image), 1, 2000) for image in images])
    torch.testing.assert_close(maps, expected, rtol=0, atol=2e-3 * expected.abs().max().item())


def test_closed_form_of_a_linear_network_with_a_mean_baseline(linear, images):
    method = IntegratedGradients(linear, baseline="mean", steps=3)
    maps = method.attribute(images, 2)
    centred = images - images.mean((2, 3), keepdim=True)
    torch.testing.assert_close(maps, centred * linear[1].weight[2].detach().view(1, 1, 12, 12))
    assert method.completeness_gap(images, maps, 2).abs().max() < 1e-6


def test_the_completeness_gap_is_what_the_sum_misses(network, images):
    target = torch.tensor([0, 1, 2, 0])
    coarse, fine = IntegratedGradients(network, steps=3), IntegratedGradients(network, steps=300)
    maps = coarse.attribute(images, target)
    gap = coarse.completeness_gap(images, maps, target)
    assert all(module.training for module in network.modules())
    network.eval()
    with torch.no_grad():
        rise = (network(images) - network(torch.zeros_like(images))).gather(1, target[:, None])[:, 0]
    torch.testing.assert_close(gap, maps.sum((1, 2, 3)) - rise)
    assert gap.abs().max() > 1e-3
    assert fine.completeness_gap(images, fine.attribute(images, target), target).abs().max() < gap.abs().max() / 10


def test_meaningless_parameters_are_refused(network):
    with pytest.raises(ValueError, match="steps and chunk_size"):
        IntegratedGradients(network, steps=0)
