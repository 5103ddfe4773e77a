import pytest
import torch

from shared.saliency.bags.attention import AttentionWeights
from shared.saliency.bags.gradient_x_input import GradientXInput
from shared.saliency.bags.lrp import BagLRP
from shared.saliency.bags.lrp_attention import LRPAttention
from tests.oracles import bag_explanations as oracle

ATTENTION = ["attention", "gated attention"]


@pytest.mark.parametrize("pooling", [*ATTENTION, "attention and maximum"])
@pytest.mark.parametrize("attention", ["propagated", "detached"])
@pytest.mark.parametrize(
    ("options", "epsilon", "gamma"),
    [
        ({"epsilon": 0.05}, 0.05, 0.0),
        ({}, 0.25, 0.0),
        ({"relative_epsilon": 0.6}, 0.6, 0.0),
        ({"rule": "gamma", "gamma": 0.3, "epsilon": 0.01}, 0.01, 0.3),
        ({"rule": "gamma", "gamma": 0.3}, 1e-6, 0.3),
    ],
)
def test_relevance_is_that_of_one_sum_after_another(pooling, attention, options, epsilon, gamma, build, features):
    model = build(pooling)
    values = BagLRP(model, attention=attention, **options).attribute(features)
    model.double()
    weighing, gain = model.pooling, None
    if pooling == "attention and maximum":
        weighing, gain = model.pooling.attention, model.pooling.gain.tolist()
        assert min(gain) < 0 < max(gain)
    parts = [weighing.hidden[0], *([] if pooling == "attention" else [weighing.gate[0]])]
    expected = oracle.lrp(
        features.double().numpy(),
        [(part.weight.detach().numpy(), part.bias.detach().numpy()) for part in parts],
        weighing.score.weight[0].detach().numpy(),
        model.head[1].weight[0].detach().numpy(),
        model.head[1].bias.item(),
        epsilon,
        gamma,
        attention == "detached",
        gain,
        relative="epsilon" not in options and "rule" not in options,
    )
    assert values.tolist() == pytest.approx(expected.tolist(), rel=1e-9)


@pytest.mark.parametrize("rule", [{}, {"rule": "epsilon", "epsilon": 0.05}, {"rule": "gamma", "epsilon": 0.01}])
@pytest.mark.parametrize("attention", ["propagated", "detached"])
@pytest.mark.parametrize("pooling", [*ATTENTION, "attention and maximum", "mean", "max"])
def test_an_encoder_that_does_nothing_changes_nothing(rule, attention, pooling, build, features, monkeypatch):
    """The way through messages of the embeddings against the way that adds up over the features at once."""
    monkeypatch.setattr("shared.saliency.bags.bag_model.NUMBERS", 12)
    direct = build(pooling, head="deep")
    encoded = build(pooling, head="deep", encoder=True)
    encoded.encoder, encoded.level = torch.nn.Identity(), direct
    torch.testing.assert_close(
        BagLRP(encoded, attention=attention, **rule).attribute(features),
        BagLRP(direct, attention=attention, **rule).attribute(features),
    )


@pytest.mark.parametrize("pooling", [*ATTENTION, "attention and maximum", "mean", "max"])
@pytest.mark.parametrize("level", ["embedding", "instance"])
@pytest.mark.parametrize("encoder", [False, True])
def test_with_small_epsilon_it_is_gradient_x_input(pooling, level, encoder, build, features):
    model = build(pooling, head="deep", encoder=encoder, level=level, logits=2)
    features = features[:, :4] if encoder else features
    values = BagLRP(model, target=1, epsilon=1e-10).attribute(features)
    expected = GradientXInput(model, target=1).attribute(features)
    assert expected.abs().max() > 1e-3
    torch.testing.assert_close(values, expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("pooling", [*ATTENTION, "mean"])
def test_by_default_it_is_not_gradient_x_input_and_does_not_depend_on_units(pooling, build, features):
    """Twice the features and half the weights that take them: the same network, the same relevance."""
    model = build(pooling, head="deep", encoder=True)
    relevance = BagLRP(model).attribute(features[:, :4])
    plain = GradientXInput(model).attribute(features[:, :4])
    assert 0.05 < (relevance - plain).norm() / plain.norm() < 2
    torch.testing.assert_close(
        BagLRP(model, relative_epsilon=1e-9).attribute(features[:, :4]), plain, rtol=1e-4, atol=1e-6
    )
    first, second = model.encoder[0], model.encoder[2]
    for parameter in (first.weight, first.bias):
        parameter.data *= 1000
    second.weight.data /= 1000
    torch.testing.assert_close(BagLRP(model).attribute(features[:, :4]), relevance, rtol=1e-4, atol=1e-6)
    absolute = BagLRP(model, epsilon=0.25).attribute(features[:, :4])
    assert (absolute - relevance).norm() / relevance.norm() > 0.01


@pytest.mark.parametrize("pooling", [*ATTENTION, "mean"])
def test_what_detached_attention_leaves_over_is_what_the_biases_have(pooling, build, features):
    """Σ R + Σ b ∂f/∂b = f, the weights constant: over all biases of encoder and head."""
    model = build(pooling, head="deep", encoder=True)
    relevance = BagLRP(model, epsilon=1e-10, attention="detached").attribute(features[:, :4]).sum()
    model.double().eval()
    x, lengths = features[:, :4].double(), torch.tensor([9])
    weights = torch.full((9,), 1 / 9, dtype=torch.float64)
    if pooling != "mean":
        weights = model.level.instance_weights(model.encoder(x), lengths).detach()

    class Constant(torch.nn.Module):
        """The network with the weights of this bag for good."""

        def __init__(self):
            super().__init__()
            self.encoder, self.head = model.encoder, model.level.head

        def forward(self, bags):
            return self.head((weights @ self.encoder(bags[0]))[None])

    constant = Constant()
    logit = constant(x[None])[0, 0]
    torch.testing.assert_close(logit, model(x, lengths)[0, 0])
    logit.backward()
    biases = [part.bias for part in constant.modules() if isinstance(part, torch.nn.Linear)]
    owed = sum((bias.detach() * bias.grad).sum() for bias in biases)
    assert len(biases) == 4
    assert abs(float(owed)) > 0.01
    assert float(relevance + owed) == pytest.approx(logit.item(), rel=1e-6)


def test_what_the_attention_adds_is_its_own_gradient_x_input(build, features):
    model = build("gated attention")
    added = BagLRP(model, epsilon=1e-10).attribute(features)
    added -= BagLRP(model, epsilon=1e-10, attention="detached").attribute(features)
    model.double().eval()
    x = features.double().requires_grad_()
    weights = model.instance_weights(x, torch.tensor([9]))
    logit = model.head((weights @ x.detach())[None])[0, 0]  # the features reach the logit by the weights only
    (gradient,) = torch.autograd.grad(logit, x)
    torch.testing.assert_close(added, (gradient * x).sum(1).detach(), rtol=1e-6, atol=1e-9)


def test_relevance_of_detached_attention_is_kept_but_for_epsilon(build, features):
    model = build()
    model.head[1].bias.data.zero_()
    logit = float(model.double().eval()(features.double(), torch.tensor([9])))
    gamma = BagLRP(model, rule="gamma", gamma=0.5, epsilon=1e-10, attention="detached").attribute(features)
    assert float(gamma.sum()) == pytest.approx(logit, rel=1e-6)
    absorbed = BagLRP(model, epsilon=1.0, attention="detached").attribute(features)
    assert abs(float(absorbed.sum())) < 0.9 * abs(logit)


@pytest.mark.parametrize("signed", [False, True])
def test_lrp_and_attention_are_combined_as_stated(signed, build, features):
    model = build()
    relevance = BagLRP(model, attention="detached").attribute(features)
    weights = AttentionWeights(model).attribute(features)
    assert (relevance < 0).any()
    combined = LRPAttention(model, decades=2.0, signed=signed, attention="detached").attribute(features)
    expected = oracle.lrp_attention(relevance.tolist(), weights.tolist(), 2.0, signed)
    assert combined.tolist() == pytest.approx(expected)


def test_lrp_and_attention_of_a_bag_of_one(build, features):
    assert LRPAttention(build()).attribute(features[:1]).tolist() == [1.0]
    with pytest.raises(ValueError, match="decades"):
        LRPAttention(build(), decades=0)
    with pytest.raises(TypeError, match="attention"):
        LRPAttention(build("max")).attribute(features)


def test_what_has_no_rule_is_refused_by_name(build, features):
    with pytest.raises(TypeError, match="LogMeanExpPooling"):
        BagLRP(build("log-mean-exp")).attribute(features)
    model = build(encoder=True)
    model.encoder = torch.nn.Sequential(torch.nn.Linear(4, 5), torch.nn.GELU())
    with pytest.raises(ValueError, match="gelu"):
        BagLRP(model).attribute(features[:, :4])
    with pytest.raises(ValueError, match="rule"):
        BagLRP(build(), rule="alpha")
    with pytest.raises(ValueError, match="epsilon"):
        BagLRP(build(), epsilon=0)
    with pytest.raises(ValueError, match="relative_epsilon"):
        BagLRP(build(), relative_epsilon=0)
