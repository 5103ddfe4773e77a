"""The rules in numbers: against matrices, layer by layer, and against captum where it is right."""

import copy

import pytest
import torch
import torch.nn.functional as F
from captum.attr import LRP as CaptumLRP  # noqa: N811
from captum.attr._utils.lrp_rules import EpsilonRule, GammaRule
from torch import nn

from shared.saliency.lrp import LRP
from tests.oracles.lrp import affine_relevance, sequence_relevance
from tests.shared.saliency.lrp.conftest import randomise

pytestmark = pytest.mark.filterwarnings("ignore:Input Tensor 0 did not already require gradients")

RULES = [
    {"epsilon": 0.3},
    {"relative_epsilon": 0.4},
    {"rule": "gamma", "gamma": 0.5, "epsilon": 1e-9},
    {"rule": "gamma", "epsilon": 0.1},
]


def of_oracle(rule):
    if "relative_epsilon" in rule:
        return {"epsilon": rule["relative_epsilon"], "relative": True}
    return {"epsilon": rule["epsilon"], "gamma": rule.get("gamma", 0.25) if "rule" in rule else None}


def nearly(rule):
    """Tolerance: what keeps relative denominators from being 0 is seen in the last digits."""
    return {"rtol": 1e-6 if "relative_epsilon" in rule else 1e-9, "atol": 1e-8 if "relative_epsilon" in rule else 1e-12}


@pytest.fixture
def small():
    """Images of either sign, ``(2, 2, 6, 6)``."""
    return torch.randn(2, 2, 6, 6, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("inplace", [False, True])
def test_every_kind_of_step_equals_its_matrix(small, rule, inplace):
    steps = nn.ModuleDict(
        {
            "norm": nn.BatchNorm2d(2),
            "conv": nn.Conv2d(2, 4, 3, padding=1, stride=1, groups=2),
            "conv_norm": nn.BatchNorm2d(4),
            "dilated": nn.Conv2d(4, 3, 2, stride=1, dilation=2, bias=False),
            "after_pool": nn.BatchNorm2d(3, affine=False),
            "hidden": nn.Linear(3, 5),
            "hidden_norm": nn.BatchNorm1d(5),
            "out": nn.Linear(5, 3),
        }
    )
    randomise(steps, seed=2, std=0.7)
    relu, pool, mean = nn.ReLU(inplace), nn.MaxPool2d(2), nn.AvgPool2d(2)
    network = nn.Sequential(
        *(steps["norm"], steps["conv"], steps["conv_norm"], relu, steps["dilated"], pool, steps["after_pool"]),
        *(relu, mean, nn.Flatten(), steps["hidden"], steps["hidden_norm"], relu, steps["out"]),
    ).eval()
    sequence = [
        ("affine", steps["norm"]),
        ("affine", nn.Sequential(steps["conv"], steps["conv_norm"])),  # one step
        ("rectifier", F.relu),
        ("affine", steps["dilated"]),
        ("maximum", pool),
        ("affine", steps["after_pool"]),
        ("rectifier", F.relu),
        ("affine", mean),
        ("shape", nn.Flatten()),
        ("affine", nn.Sequential(steps["hidden"], steps["hidden_norm"])),
        ("rectifier", F.relu),
        ("affine", steps["out"]),
    ]
    logits, maps = LRP(network, **rule).attribute_classes(small)
    torch.testing.assert_close(logits, network(small), rtol=0, atol=0)
    for image, found in zip(small, maps, strict=True):
        for index in range(3):
            expected = sequence_relevance(sequence, image, index, **of_oracle(rule))
            torch.testing.assert_close(found[index], expected, **nearly(rule))
    assert maps.abs().max() > 1e-3


class TwoWays(nn.Module):
    """Concatenation after which both parts go on, a sum with the input, and one convolution twice."""

    def __init__(self):
        super().__init__()
        self.conv, self.mix = nn.Conv2d(2, 2, 3, padding=1), nn.Conv2d(4, 2, 1)
        self.head = nn.Linear(2, 2)

    def forward(self, x):
        u = self.conv(x)
        a = torch.relu(u)
        v = self.mix(torch.cat([u, a], dim=1))
        s = v + x
        w = self.conv(F.relu(s))
        return self.head(w.mean(dim=(2, 3)))


@pytest.mark.parametrize("rule", RULES)
def test_what_goes_several_ways_equals_the_relevance_added_up(small, rule):
    network = randomise(TwoWays())
    options = of_oracle(rule)
    maps = LRP(network, **rule).attribute(small, 1)
    for x, found in zip(small, maps, strict=True):
        with torch.no_grad():
            u = network.conv(x[None])[0]
            both = torch.cat([u, u.relu()])
            v = network.mix(both[None])[0]
            s = v + x
            w = network.conv(s.relu()[None])[0]
            mean = w.mean(dim=(1, 2))
            logit = network.head(mean[None])[0]
        relevance = affine_relevance(network.head, mean, logit * torch.tensor([0.0, 1.0]), **options)
        relevance = affine_relevance(lambda t: t.mean(dim=(2, 3)), w, relevance, **options)
        of_s = affine_relevance(network.conv, s.relu(), relevance, **options)
        of_v, of_x = affine_relevance(lambda t: t[:, 0] + t[:, 1], torch.stack([v, x]), of_s, **options)
        of_both = affine_relevance(network.mix, both, of_v, **options)
        of_u = of_both[:2] + of_both[2:]
        expected = of_x + affine_relevance(network.conv, x, of_u, **options)
        torch.testing.assert_close(found, expected, **nearly(rule))


def sequential():
    network = nn.Sequential(
        *(nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(), nn.BatchNorm2d(4), nn.Conv2d(4, 5, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.AvgPool2d(2), nn.Flatten(), nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 3)),
    )
    return randomise(network)


@pytest.mark.parametrize("epsilon", [1e-6, 0.2])
def test_epsilon_equals_captum_on_a_plain_sequence(small, epsilon):
    network = sequential()
    maps = LRP(network, epsilon=epsilon).attribute_classes(small).maps
    for index in range(3):
        for layer in network:
            if isinstance(layer, (nn.Flatten, nn.MaxPool2d)):  # captum refuses nn.Flatten without a rule
                layer.rule = EpsilonRule(1e-12)
            elif not isinstance(layer, nn.ReLU):
                layer.rule = EpsilonRule(epsilon)
        expected = CaptumLRP(network).attribute(small.clone(), target=index)
        torch.testing.assert_close(maps[:, index], expected.detach(), rtol=1e-6, atol=1e-9)


def test_by_default_a_step_counts_by_its_size_and_not_by_its_units(small):
    """Outputs of a layer scaled, and scaled back by the next: the same function, and the same maps."""
    network = sequential()
    rescaled = copy.deepcopy(network)
    with torch.no_grad():
        rescaled[0].weight *= 1000
        rescaled[0].bias *= 1000
        rescaled[2].running_mean *= 1000
        rescaled[2].running_var.add_(rescaled[2].eps).mul_(1e6).sub_(rescaled[2].eps)
    torch.testing.assert_close(rescaled(small), network(small))
    maps = LRP(network).attribute_classes(small).maps
    torch.testing.assert_close(LRP(rescaled).attribute_classes(small).maps, maps, rtol=1e-6, atol=1e-8)
    torch.testing.assert_close(LRP(network, relative_epsilon=0.25).attribute_classes(small).maps, maps)
    absolute = [LRP(each, epsilon=0.25).attribute_classes(small).maps for each in (network, rescaled)]
    assert not torch.allclose(*absolute, rtol=0.1)


def test_a_step_that_gives_nothing_has_no_relevance_and_no_nan():
    network = randomise(nn.Sequential(nn.Conv2d(2, 3, 3, bias=False), nn.ReLU(), nn.Flatten(), nn.Linear(48, 3)))
    assert not LRP(network).attribute_classes(torch.zeros(1, 2, 6, 6, dtype=torch.float64)).maps.any()


def test_gamma_equals_captum_where_the_published_rule_is_stable(small):
    """Inputs that are not negative, rectifiers behind all layers, positive logits; captum leaves biases as they are."""
    network = nn.Sequential(
        *(nn.Conv2d(2, 4, 3, padding=1, bias=False), nn.ReLU(), nn.Conv2d(4, 5, 3, bias=False), nn.ReLU()),
        *(nn.Flatten(), nn.Linear(80, 8, bias=False), nn.ReLU(), nn.Linear(8, 3, bias=False)),
    )
    network = randomise(network, seed=1)
    with torch.no_grad():
        network[7].weight += 0.6
    assert network(small.abs()).min() > 0
    maps = LRP(network, "gamma", gamma=0.4, epsilon=1e-9).attribute_classes(small.abs()).maps
    for index in range(3):
        for layer in network:
            if isinstance(layer, (nn.Conv2d, nn.Linear)):
                layer.rule = GammaRule(gamma=0.4)
            elif isinstance(layer, nn.Flatten):
                layer.rule = EpsilonRule(1e-12)
        expected = CaptumLRP(network).attribute(small.abs(), target=index)
        torch.testing.assert_close(maps[:, index], expected.detach(), rtol=1e-5, atol=1e-8)


def test_gamma_of_nothing_is_epsilon(small):
    network = randomise(TwoWays())
    maps = LRP(network, "gamma", gamma=0.0, epsilon=0.2).attribute(small, 0)
    torch.testing.assert_close(maps, LRP(network, epsilon=0.2).attribute(small, 0), rtol=1e-12, atol=1e-12)


def test_gamma_is_bounded_where_the_published_rule_has_a_pole():
    """z = -1 and z + gamma p = 0: published, the relevance is infinite."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(2, 1, bias=False)).double()
    with torch.no_grad():
        network[1].weight[:] = torch.tensor([[1.0, -2.0]])
    image = torch.ones(1, 1, 1, 2, dtype=torch.float64)
    maps = LRP(network, "gamma", gamma=1.0, epsilon=1e-12).attribute(image, 0)
    # n = -2 counts twice: z~ = 1 - 4, and R = (1, -4) / -3 * -1
    torch.testing.assert_close(maps.flatten(), torch.tensor([1 / 3, -4 / 3], dtype=torch.float64))


@pytest.mark.parametrize("wrong", [{"rule": "alpha"}, {"epsilon": 0.0}, {"relative_epsilon": 0.0}, {"gamma": -0.1}])
def test_meaningless_parameters_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        LRP(nn.Linear(1, 1), **wrong)
