import numpy as np
import pytest
import torch
from torch import nn

from shared.saliency.bags.attention import AttentionWeights
from shared.saliency.bags.exact_shapley import ExactShapley
from shared.saliency.bags.gradient_x_input import GradientXInput
from shared.saliency.evet import EVET
from shared.saliency.grad_cam import GradCAM
from shared.saliency.input_gradient import InputXGradient
from shared.saliency.lrp import LRP
from shared.saliency.sanity.explained import ExplainedBags, ExplainedImages, on_network
from shared.saliency.sanity.layers import untrained_network


@pytest.fixture
def other(network, images):
    return untrained_network(network, lambda network: network(images[:1]), seed=1)


def test_a_method_on_another_network_keeps_its_settings(network, other, images):
    inner = GradCAM(network, layer="features.0")
    methods = {"evet": EVET(network, inner), "lrp": LRP(network, "gamma", gamma=0.7)}
    moved = on_network(methods, network, other)
    expected = {"evet": EVET(other, GradCAM(other, layer="features.0")), "lrp": LRP(other, "gamma", gamma=0.7)}
    for name, method in expected.items():
        assert torch.equal(moved[name].attribute(images, 1), method.attribute(images, 1))
    assert moved["evet"].method.network is moved["evet"].network is other
    assert methods["lrp"].network is network
    assert inner.network is network


def test_images_are_explained_in_batches_and_channels_added_up(network, other, images):
    targets = torch.tensor([0, 2, 1, 1])
    explained = ExplainedImages({"lrp": LRP(network)}, images, targets, batch_size=3)
    expected = LRP(other).attribute(images, targets)[:, 0].numpy()
    np.testing.assert_allclose(explained.explain(other)["lrp"], expected, rtol=1e-9)
    assert explained.count == 4
    assert explained.signs == {"lrp": "signed"}


def test_the_other_class_is_another_one(network, images):
    many = images.repeat(10, 1, 1, 1)
    targets = torch.arange(40) % 3
    method = InputXGradient(network)
    maps = ExplainedImages({"a": method}, many, targets).explain_other(seed=0)["a"]
    of_classes = method.attribute_classes(many).maps[:, :, 0].numpy()  # (40, 3, 12, 12)
    drawn = [
        [np.allclose(one, candidate) for candidate in candidates].index(True)
        for one, candidates in zip(maps, of_classes, strict=True)
    ]
    assert all(index != target for index, target in zip(drawn, targets.tolist(), strict=True))
    # both of the others are drawn
    assert {(index - target) % 3 for index, target in zip(drawn, targets.tolist(), strict=True)} == {1, 2}


def test_of_one_logit_there_is_no_other(images, build, features):
    network = nn.Sequential(nn.Flatten(), nn.Linear(144, 1)).double()
    explained = ExplainedImages({"a": InputXGradient(network)}, images, torch.zeros(4, dtype=torch.int64))
    assert explained.explain_other(seed=0) is None
    assert ExplainedBags({"shapley": ExactShapley(build())}, [features]).explain_other(seed=0) is None


def test_bags_are_explained_bag_by_bag(build, features):
    model = build("attention")
    bags = [features[:4], features[4:]]
    methods = {"shapley": ExactShapley(model), "attention": AttentionWeights(model)}
    explained = ExplainedBags(methods, bags)
    values = explained.explain(model)
    assert [len(part) for part in values["shapley"]] == [4, 5]
    np.testing.assert_allclose(values["shapley"][1], ExactShapley(model).attribute(bags[1]).numpy())


def test_what_does_not_fit_is_refused(network, other, images, build, features):
    methods = {"a": InputXGradient(network), "b": InputXGradient(other)}
    with pytest.raises(ValueError, match="a and b explain different networks"):
        ExplainedImages(methods, images, torch.zeros(4, dtype=torch.int64))
    with pytest.raises(ValueError, match=r"targets of shape \(3,\)"):
        ExplainedImages({"a": InputXGradient(network)}, images, torch.zeros(3, dtype=torch.int64))
    with pytest.raises(ValueError, match="0 bags"):
        ExplainedBags({"a": GradientXInput(build())}, [])
    models = [build(), build()]
    with pytest.raises(ValueError, match="different networks"):
        ExplainedBags(dict(zip("ab", map(GradientXInput, models), strict=True)), [features])
