"""What a network may do and what is refused by name."""

import pytest
import torch
import torch.nn.functional as F
from monai.networks.nets import EfficientNetBN
from torch import nn

from shared.saliency.input_gradient import InputXGradient
from shared.saliency.lrp import LRP
from tests.shared.saliency.lrp.conftest import randomise


class Middle(nn.Module):
    """A network with something of the test's choice in the middle."""

    def __init__(self, middle):
        super().__init__()
        self.conv, self.head = nn.Conv2d(1, 4, 3), nn.Linear(4, 3)
        self.middle = middle
        self.gate = nn.Conv2d(4, 4, 1)
        self.norms = nn.Sequential(nn.BatchNorm2d(4), nn.BatchNorm2d(4))

    def forward(self, image):
        return self.head(self.middle(self, self.conv(image)).mean((2, 3)))


class Doubled(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return 2 * x

    @staticmethod
    def backward(ctx, gradient):
        return 2 * gradient


def without_gradient(network, x):
    with torch.no_grad():
        return network.gate(x) + 0 * x


def through_a_view(network, x):
    x = F.relu(x)
    half = x[:, :2]
    x += 1
    return torch.cat([half, half], dim=1)


REFUSED = {
    "torch.nn.functional.gelu": lambda n, x: F.gelu(x),
    "torch.sigmoid": lambda n, x: torch.sigmoid(x),
    "torch.nn.functional.softmax": lambda n, x: F.softmax(x, 1),
    "torch.nn.functional.relu6": lambda n, x: F.relu6(x),
    "torch.nn.functional.hardtanh": lambda n, x: F.hardtanh(x),
    "torch.nn.functional.silu": lambda n, x: nn.SiLU()(x),
    "torch.nn.functional.group_norm": lambda n, x: F.group_norm(x, 2),
    "torch.nn.functional.instance_norm": lambda n, x: F.instance_norm(x),
    "torch.nn.functional.layer_norm": lambda n, x: F.layer_norm(x, x.shape[1:]),
    "torch.nn.functional.batch_norm by statistics": lambda n, x: F.batch_norm(x, None, None, training=True),
    "torch.nn.functional.dropout that is active in evaluation mode": lambda n, x: F.dropout(x, 0.5),
    "torch.Tensor.mul of two tensors that both depend on the image": lambda n, x: x * n.gate(x),
    "torch.Tensor.mul of two tensors": lambda n, x: x.mul_(n.gate(x)),
    "torch.Tensor.__rdiv__|torch.Tensor.reciprocal|torch.Tensor.__rtruediv__": lambda n, x: 1 / (x + 9),
    "torch.Tensor.div in this form": lambda n, x: torch.ones(1).double() / (x + 9),
    "torch.Tensor.matmul": lambda n, x: x @ x.transpose(2, 3),
    "torch.functional.einsum": lambda n, x: torch.einsum("bchw,cd->bdhw", x, n.gate.weight[:, :, 0, 0]),
    "torch.nn.functional.conv2d with weights that depend on the image": lambda n, x: F.conv2d(x, x[:1, :, :1, :1]),
    "torch.Tensor.detach": lambda n, x: x.detach(),
    "torch.Tensor.data": lambda n, x: x.data + 0 * x,
    "torch.Tensor.clamp other than at min=0": lambda n, x: x.clamp(0, 6),
    "torch.Tensor.__setitem__": lambda n, x: x.clone().__setitem__((0, 0), 0.0),
    "torch.Tensor.add with alpha": lambda n, x: x.add(x, alpha=2),
    "torch.Tensor.add_ on a tensor that does not depend": lambda n, x: torch.zeros(x.shape).double().add_(x),
    "computes on the images without gradients: under no_grad": without_gradient,
    "or in the forward pass of a custom autograd function": lambda n, x: Doubled.apply(x),
    "changed in place through another one": through_a_view,
    "the result of ReluBackward0, which was computed out of sight": lambda n, x: torch.jit.script(nn.ReLU())(x),
    "computes on the images without gradients": lambda n, x: x.to(torch.int64) + x,
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_has_no_rule_is_refused_by_name(message, grey):
    network = randomise(Middle(REFUSED[message]))
    with pytest.raises(ValueError, match=message):
        LRP(network).attribute(grey, 0)
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_a_network_with_gates_is_refused_by_what_it_does():
    network = EfficientNetBN("efficientnet-b0", pretrained=False, in_channels=1, num_classes=2).eval()
    with pytest.raises(ValueError, match=r"no rule for torch\.nn\.functional\.silu"):
        LRP(network).attribute(torch.rand(1, 1, 32, 32), 0)


def test_a_scripted_network_is_refused(grey):
    network = torch.jit.script(randomise(nn.Sequential(nn.Conv2d(1, 3, 3), nn.Flatten(), nn.Linear(2700, 2))))
    with pytest.raises(ValueError, match="out of sight"):
        LRP(network).attribute(grey, 0)


def test_logits_that_are_none_are_refused(grey):
    with pytest.raises(ValueError, match=r"must return logits \(3, K\), found \(3, 2, 30, 30\)"):
        LRP(nn.Conv2d(1, 2, 3).double()).attribute(grey)


ALLOWED = {
    "in place on a layer's output": lambda n, x: (x.relu_(), x)[1],
    "in place twice": lambda n, x: x.mul_(2.0).add_(0.1).relu_(),
    "addition in place": lambda n, x: (x.relu_(), n.gate(x))[1].add_(x),
    "statement in place": lambda n, x: (F.relu_(x), n.gate(x))[1],
    "constants": lambda n, x: (2 * x - 0.3) / 4 + torch.ones(1, 4, 1, 1).double() - (1 - x) * 0.1,
    "constant minus": lambda n, x: F.relu(1 - x),
    "negated": lambda n, x: F.relu(-x),
    "keywords": lambda n, x: F.conv2d(input=F.relu(input=x), weight=n.gate.weight, bias=n.gate.bias),
    "clamped": lambda n, x: x.clamp(min=0),
    "leaky": lambda n, x: F.leaky_relu(x, 0.1),
    "parametric": lambda n, x: F.prelu(x, torch.tensor([0.2]).double()),
    "parts": lambda n, x: torch.cat([part.relu() for part in x.chunk(2, dim=1)][::-1], dim=1),
    "pieces": lambda n, x: torch.stack([x[:, 0], x[:, 1], F.relu(x[:, 2]), x[:, 3]], dim=1),
    "shapes": lambda n, x: F.relu(x.permute(0, 2, 3, 1).flatten(1).view(len(x), *x.shape[2:], 4).movedim(3, 1)),
    "padded": lambda n, x: n.gate(F.pad(x, (1, 1, 1, 1), mode="reflect")),
    "places of a maximum": lambda n, x: F.max_pool2d(x, 2, return_indices=True)[0],
    "dropout": lambda n, x: nn.Dropout(inplace=True).eval()(x),
    "normalised twice": lambda n, x: n.norms(n.gate(x)),
    "used before and after": lambda n, x: torch.cat([n.gate(x)[:, :2], F.relu(x)[:, :2]], dim=1),
    "constant branch": lambda n, x: x + torch.sigmoid(n.gate.bias).view(1, 4, 1, 1),
    "weights made of weights": lambda n, x: F.conv2d(x, n.gate.weight / n.gate.weight.norm()),
}


@pytest.mark.parametrize("rule", ["epsilon", "gamma"])
@pytest.mark.parametrize("name", ALLOWED)
def test_what_a_network_may_do(name, rule, grey):
    """With neither epsilon nor gamma both rules are input × gradient, whatever the network does."""
    network = randomise(Middle(ALLOWED[name]))
    logits, maps = LRP(network, rule, epsilon=1e-10, gamma=0.0).attribute_classes(grey)
    assert torch.equal(logits, network(grey))
    torch.testing.assert_close(maps, InputXGradient(network).attribute_classes(grey).maps, rtol=1e-4, atol=1e-8)
    assert maps.abs().max() > 0
