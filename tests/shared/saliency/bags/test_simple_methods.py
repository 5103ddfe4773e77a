"""Attention, gradient × input, instance score, exact Shapley values and random values."""

import pytest
import torch
from captum.attr import InputXGradient

from shared.mil.shapley.instance_shapley import instance_shapley
from shared.saliency.bags.attention import AttentionWeights, rescale
from shared.saliency.bags.bag_model import BagModel
from shared.saliency.bags.exact_shapley import ExactShapley
from shared.saliency.bags.gradient_x_input import GradientXInput
from shared.saliency.bags.instance_score import InstanceScore
from shared.saliency.bags.lrp_attention import LRPAttention
from shared.saliency.bags.random_values import RandomValues
from tests.oracles import shapley


def test_attention_is_the_models_own(build, features):
    model = build()
    raw = AttentionWeights(model).attribute(features)
    expected = model.double().instance_weights(features.double(), torch.tensor([9]))
    torch.testing.assert_close(raw, expected.detach())
    rescaled = AttentionWeights(model, rescaled=True).attribute(features)
    torch.testing.assert_close(rescaled, (raw - raw.min()) / (raw.max() - raw.min()))
    assert rescale(torch.full((3,), 0.2)).tolist() == [0.5] * 3
    for pooling, name in (("max", "MaxPooling"), ("attention and maximum", "AttentionMaximumPooling")):
        with pytest.raises(TypeError, match=name):
            AttentionWeights(build(pooling)).attribute(features)
        with pytest.raises(TypeError, match=name):
            LRPAttention(build(pooling)).attribute(features)


@pytest.mark.parametrize("pooling", ["attention", "gated attention", "attention and maximum", "max", "noisy-or"])
@pytest.mark.parametrize("encoder", [False, True])
def test_gradient_x_input_is_captums(pooling, encoder, build, features, monkeypatch):
    monkeypatch.setattr("shared.saliency.bags.bag_model.NUMBERS", 12)  # several blocks through the encoder
    level = "instance" if pooling == "noisy-or" else "embedding"
    model = build(pooling, head="perceptron", encoder=encoder, level=level, logits=2)
    features = features[:, :4] if encoder else features
    values = GradientXInput(model, target=1).attribute(features)
    whole = model.double().eval()
    captum = InputXGradient(lambda bags: whole(bags[0], torch.tensor([9])))
    expected = captum.attribute(features.double()[None].requires_grad_(), target=1)
    torch.testing.assert_close(values, expected[0].sum(1).detach())


@pytest.mark.parametrize("level", ["embedding", "instance"])
@pytest.mark.parametrize("encoder", [False, True])
def test_instance_score_is_the_logit_of_the_bag_of_one(level, encoder, build, features, value_of):
    model = build(level=level, encoder=encoder, logits=2)
    features = features[:, :4] if encoder else features
    value = value_of(model, features, target=1)
    assert InstanceScore(model, 1).attribute(features).tolist() == pytest.approx([value([i]) for i in range(9)])


@pytest.mark.parametrize("pooling", ["gated attention", "attention and maximum"])
@pytest.mark.parametrize("encoder", [False, True])
def test_exact_shapley_values_are_those_of_all_subsets(pooling, encoder, build, features, value_of):
    model = build(pooling, encoder=encoder)
    features = features[:8, :4] if encoder else features[:8]
    expected = shapley.shapley(8, value_of(model, features))
    assert ExactShapley(model).attribute(features).tolist() == pytest.approx(expected, abs=1e-8)


def test_exact_shapley_values_refuse_what_has_no_formula(build, features):
    with pytest.raises(TypeError, match="no exact"):
        ExactShapley(build(head="perceptron")).attribute(features)
    plain = instance_shapley(build(), features).values
    torch.testing.assert_close(ExactShapley(build()).attribute(features), plain)


def test_random_values_depend_on_bag_and_seed(build, features):
    model = build()
    values = RandomValues(model).attribute(features)
    assert torch.equal(values, RandomValues(model).attribute(features))
    assert not torch.equal(values, RandomValues(model, seed=1).attribute(features))
    many = RandomValues(model).attribute(torch.randn(20_000, 5))
    assert abs(float(many.mean())) < 0.05
    assert float(many.std()) == pytest.approx(1, abs=0.05)


def test_a_model_without_final_bias_has_no_empty_bag_but_zero(build):
    model = build()
    model.head[1].bias = None
    assert BagModel(model).empty_logits().tolist() == [0.0]
    model.head = torch.nn.Tanh()
    with pytest.raises(ValueError, match="linear layer"):
        BagModel(model).empty_logits()


def test_what_a_value_is_is_told_by_its_method(build):
    model = build()
    weights, rescaled = AttentionWeights(model), AttentionWeights(model, rescaled=True)
    assert not weights.diverging
    assert (weights.unit, rescaled.unit) == ("share of attention", "attention, rescaled")
    combined = LRPAttention(model)
    assert combined.diverging  # whether or not its logarithm keeps the relevance's sign
    assert GradientXInput(model).unit == "log-odds" != combined.unit
