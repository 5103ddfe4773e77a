import torch
from captum.attr import InputXGradient as CaptumInputXGradient

from shared.saliency.input_gradient import InputXGradient


def test_equals_captum(network, images):
    target = torch.tensor([0, 1, 2, 0])
    maps = InputXGradient(network).attribute(images, target)
    expected = CaptumInputXGradient(network.eval()).attribute(images.requires_grad_(), target=target)
    torch.testing.assert_close(maps, expected.detach())


def test_closed_form_of_a_linear_network(linear, images):
    maps = InputXGradient(linear).attribute(images, 1)
    torch.testing.assert_close(maps, images * linear[1].weight[1].view(1, 1, 12, 12).detach())
    torch.testing.assert_close(maps.flatten(1).sum(1), linear(images)[:, 1].detach())
