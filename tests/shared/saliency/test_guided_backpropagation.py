import pytest
import torch
import torch.nn.functional as F
from captum.attr import GuidedBackprop
from torch import nn

from shared.saliency.guided_backpropagation import GuidedBackpropagation
from tests.oracles.saliency import guided_gradient


class Rectified(nn.Module):
    """A perceptron with one rectifier module and one that the test chooses."""

    def __init__(self, second):
        super().__init__()
        self.first, self.middle, self.last = (nn.Linear(144, 20), nn.Linear(20, 20), nn.Linear(20, 3))
        self.relu, self.second = nn.ReLU(), second

    def forward(self, image):
        return self.last(self.second(self.middle(self.relu(self.first(image.flatten(1))))))


@pytest.mark.parametrize("inplace", [False, True])
def test_equals_the_rule_in_matrices(images, inplace):
    torch.manual_seed(1)
    relu = nn.ReLU(inplace=inplace)  # one module, used three times
    layers = [nn.Linear(a, b, bias=False) for a, b in ((144, 30), (30, 20), (20, 10), (10, 3))]
    network = nn.Sequential(nn.Flatten(), layers[0], relu, layers[1], relu, layers[2], relu, layers[3]).double()
    target = torch.tensor([0, 1, 2, 0])
    maps = GuidedBackpropagation(network).attribute(images, target)
    weights = [layer.weight.detach() for layer in layers]
    expected = torch.stack([guided_gradient(weights, image, int(k)) for image, k in zip(images, target, strict=True)])
    torch.testing.assert_close(maps, expected)
    plain = images.clone().requires_grad_()
    network(plain).gather(1, target[:, None]).sum().backward()
    assert not torch.allclose(maps, plain.grad)


@pytest.mark.filterwarnings("ignore:Setting backward hooks on ReLU")
def test_equals_captum_for_every_class(network, images):
    maps = GuidedBackpropagation(network).attribute_classes(images).maps
    captum = GuidedBackprop(network.eval())
    for index in range(3):
        expected = captum.attribute(images.clone().requires_grad_(), target=index)
        torch.testing.assert_close(maps[:, index], expected.detach())


@pytest.mark.parametrize(
    ("second", "node"),
    [
        (F.relu, "Relu"),
        (lambda x: x.clamp(min=0), "Clamp"),
        (F.relu6, "Hardtanh"),
        (F.leaky_relu, "LeakyRelu"),
        (nn.GELU(), "Gelu"),
        (nn.SiLU(), "Silu"),
        (nn.PReLU(), "Prelu"),
        (nn.ELU(), "Elu"),
        (nn.Softplus(), "Softplus"),
    ],
)
def test_a_rectifier_besides_the_modules_is_refused(images, second, node):
    network = Rectified(second).double()
    with pytest.raises(ValueError, match=f"also rectifies by .*{node}"):
        GuidedBackpropagation(network).attribute(images, 0)


def test_rectifier_modules_only_are_accepted(images):
    assert GuidedBackpropagation(Rectified(nn.ReLU()).double()).attribute(images, 0).abs().max() > 0


def test_a_network_without_rectifier_modules_is_refused(linear, images):
    class Functional(nn.Module):
        def __init__(self):
            super().__init__()
            self.unused = nn.ReLU()
            self.layer = linear

        def forward(self, image):
            self.unused(image)
            return F.relu(self.layer(image))

    for network in (linear, Functional()):
        with pytest.raises(ValueError, match="found none on the way to the logits"):
            GuidedBackpropagation(network).attribute(images, 0)
