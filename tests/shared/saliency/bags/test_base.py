import pytest
import torch
from torch import nn

from shared.saliency.bags.attention import AttentionWeights
from shared.saliency.bags.exact_shapley import ExactShapley
from shared.saliency.bags.gradient_x_input import GradientXInput
from shared.saliency.bags.instance_score import InstanceScore
from shared.saliency.bags.leave_one_out import LeaveOneOut
from shared.saliency.bags.lrp import BagLRP
from shared.saliency.bags.lrp_attention import LRPAttention
from shared.saliency.bags.random_values import RandomValues
from shared.saliency.bags.smooth_grad import SmoothGradXInput
from shared.saliency.bags.subset_shapley import SubsetShapley
from shared.saliency.bags.untrained import UntrainedValues


def _untrained(model):
    return UntrainedValues(GradientXInput(model))


METHODS = [
    AttentionWeights,
    ExactShapley,
    GradientXInput,
    InstanceScore,
    LeaveOneOut,
    BagLRP,
    LRPAttention,
    RandomValues,
    SmoothGradXInput,
    SubsetShapley,
    _untrained,
]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("encoder", [False, True])
def test_bags_are_explained_as_if_alone_whatever_the_caller_set(method, encoder, build, features):
    model = build(encoder=encoder).train()
    features = features[:, :4] if encoder else features
    state = {name: value.clone() for name, value in model.state_dict().items()}
    explain = method(model)
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        together = explain.attribute_many(features, torch.tensor([4, 5]))
    alone = torch.cat([explain.attribute(bag) for bag in features.split([4, 5])])
    assert together.dtype == torch.float64
    assert together.shape == (9,)
    assert not together.requires_grad
    torch.testing.assert_close(together, alone, rtol=1e-12, atol=1e-12)
    assert model.training
    assert all(parameter.grad is None and parameter.requires_grad for parameter in model.parameters())
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("method", [method for method in METHODS if method not in (RandomValues, SubsetShapley)])
def test_values_follow_the_instances_and_not_their_order(method, build, features):
    options = {"noise_level": 0.0} if method is SmoothGradXInput else {}
    explain = method(build("gated attention"), **options)
    order = torch.randperm(9, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(explain.attribute(features[order]), explain.attribute(features)[order])


def test_the_model_is_taken_as_it_is_at_the_call(build, features):
    model = build()
    explain = LeaveOneOut(model)
    before = explain.attribute(features)
    model.head[1].weight.data *= -1
    torch.testing.assert_close(explain.attribute(features), -before)


def test_stored_half_precision_is_explained_in_double(build, features):
    stored = features.half()
    explain = GradientXInput(build())
    assert torch.equal(explain.attribute(stored), explain.attribute(stored.double()))


@pytest.mark.parametrize(
    ("broken", "error", "message"),
    [
        (torch.zeros(0, 5), ValueError, "instances"),
        (torch.zeros(3, 5, dtype=torch.int64), TypeError, "int64"),
        (torch.tensor([[0.0] * 5, [float("nan")] * 5]), ValueError, r"instances \[1\]"),
    ],
)
def test_bad_features_are_refused(broken, error, message, build):
    with pytest.raises(error, match=message):
        GradientXInput(build()).attribute(broken)


def test_what_is_no_bag_classifier_is_refused(build, features):
    with pytest.raises(TypeError, match="Linear"):
        GradientXInput(nn.Linear(5, 1)).attribute(features)
    with pytest.raises(ValueError, match="target 1"):
        GradientXInput(build(), target=1).attribute(features)
    with pytest.raises(ValueError, match="add up to 8"):
        GradientXInput(build()).attribute_many(features, torch.tensor([3, 5]))


def test_a_network_that_does_more_than_its_parts_is_refused(build, features):
    class Doubled(type(build(encoder=True))):
        def forward(self, features, lengths):
            return 2 * super().forward(features, lengths)

    whole = build(encoder=True)
    with pytest.raises(TypeError, match="something else"):
        GradientXInput(Doubled(whole.encoder, whole.level)).attribute(features[:, :4])
