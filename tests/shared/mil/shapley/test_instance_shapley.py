import pytest
import torch
from torch import nn

from shared.mil.levels import EmbeddingLevel, InstanceLevel
from shared.mil.pooling.attention import AttentionPooling
from shared.mil.pooling.attention_maximum import AttentionMaximumPooling
from shared.mil.pooling.gated_attention import GatedAttentionPooling
from shared.mil.pooling.log_mean_exp import LogMeanExpPooling
from shared.mil.pooling.maximum import MaxPooling
from shared.mil.pooling.mean import MeanPooling
from shared.mil.pooling.noisy_or import NoisyOrPooling
from shared.mil.shapley.instance_shapley import instance_shapley
from tests.oracles import shapley as oracle

N, E, K = 8, 5, 3
TARGET = 1


def pooling(name, width):
    torch.manual_seed(4)
    made = {
        "mean": MeanPooling,
        "max": MaxPooling,
        "log-mean-exp": lambda: LogMeanExpPooling(2.5),
        "attention": lambda: AttentionPooling(width, 6),
        "gated attention": lambda: GatedAttentionPooling(width, 6),
        "attention and maximum": lambda: AttentionMaximumPooling(width, 6),
        "noisy-or": NoisyOrPooling,
    }[name]()
    for parameter in made.parameters():
        parameter.data *= 4
    return made


def head(kind):
    torch.manual_seed(5)
    if kind == "linear":
        return nn.Sequential(nn.Dropout(0.5), nn.Linear(E, K))
    return nn.Sequential(nn.Linear(E, 7), nn.ReLU(), nn.Linear(7, K))


def classifier(level, name, kind="linear"):
    if level == "embedding":
        return EmbeddingLevel(pooling(name, E), head(kind))
    return InstanceLevel(head(kind), pooling(name, K))


@pytest.fixture
def embeddings():
    return 2 * torch.randn(N, E, generator=torch.Generator().manual_seed(0))


def brute_force(model, embeddings, empty, output=lambda logit: logit):
    """The model itself, asked for every subset."""
    model = model.double().eval()

    def value(S):
        if not S:
            return float(output(torch.tensor(empty, dtype=torch.float64)))
        members = embeddings[list(S)].double()
        with torch.no_grad():
            return float(output(model(members, torch.tensor([len(S)]))[0, TARGET]))

    return oracle.shapley(len(embeddings), value)


EXACT = [
    *[("embedding", name, "linear") for name in ("mean", "max", "log-mean-exp", "attention", "gated attention")],
    ("embedding", "attention and maximum", "linear"),
    *[("instance", name, "linear") for name in ("mean", "max", "log-mean-exp", "attention", "gated attention")],
    *[("instance", name, "perceptron") for name in ("mean", "max", "log-mean-exp", "attention")],
]


@pytest.mark.parametrize(("level", "name", "kind"), EXACT)
@pytest.mark.parametrize("empty", [None, 0.8])
def test_exact_values_are_those_of_the_model(level, name, kind, empty, embeddings):
    model = classifier(level, name, kind)
    bias = list(head(kind))[-1].bias[TARGET].item()
    result = instance_shapley(model, embeddings, target=TARGET, empty=empty)
    assert result.standard_errors is None
    assert result.efficiency_gap < 1e-8
    expected = brute_force(model, embeddings, bias if empty is None else empty)
    assert result.values.tolist() == pytest.approx(expected, abs=1e-8)


def test_a_head_without_bias(embeddings):
    model = EmbeddingLevel(MeanPooling(), nn.Linear(E, K, bias=False))
    result = instance_shapley(model, embeddings, target=TARGET)
    assert result.values.tolist() == pytest.approx(brute_force(model, embeddings, 0.0), abs=1e-9)


def test_the_maximum_through_a_monotone_output(embeddings):
    model = classifier("instance", "max", "perceptron")
    result = instance_shapley(model, embeddings, target=TARGET, empty=-1.0, output=torch.sigmoid)
    assert result.standard_errors is None
    assert result.values.tolist() == pytest.approx(brute_force(model, embeddings, -1.0, torch.sigmoid), abs=1e-9)
    with pytest.raises(TypeError, match="through the output cos"):
        instance_shapley(model, embeddings, target=TARGET, empty=-1.0, output=torch.cos)


SAMPLED = [
    ("embedding", "mean", "perceptron", None),
    ("embedding", "max", "perceptron", None),
    ("embedding", "log-mean-exp", "perceptron", None),
    ("embedding", "gated attention", "perceptron", None),
    ("embedding", "attention", "linear", torch.sigmoid),
    ("embedding", "attention and maximum", "perceptron", None),
    ("instance", "attention and maximum", "linear", None),
    ("instance", "mean", "linear", torch.sigmoid),
    ("instance", "log-mean-exp", "linear", torch.sigmoid),
    ("instance", "max", "linear", torch.cos),
    ("instance", "attention", "perceptron", torch.sigmoid),
    ("instance", "noisy-or", "linear", None),
    ("embedding", "noisy-or", "perceptron", torch.sigmoid),
]


@pytest.mark.parametrize(("level", "name", "kind", "output"), SAMPLED)
def test_everything_else_is_sampled_when_told(level, name, kind, output, embeddings):
    model = classifier(level, name, kind)
    settings = {"target": TARGET, "empty": 0.4, "output": output}
    description = f"{type(model).__name__} with {type(model.pooling).__name__}.*sampled=True"
    with pytest.raises(TypeError, match=description):
        instance_shapley(model, embeddings, **settings)
    few = 200 if name == "noisy-or" else 2000
    result = instance_shapley(model, embeddings, **settings, sampled=True, max_permutations=few)
    assert result.permutations == few
    assert result.efficiency_gap < 1e-12
    expected = torch.tensor(brute_force(model, embeddings, 0.4, output or (lambda logit: logit)), dtype=torch.float64)
    assert ((result.values - expected).abs() < 4.5 * result.standard_errors + 1e-9).all()
    assert (result.values - expected).abs().max() < 0.2 * expected.abs().max()


def test_log_mean_exp_of_more_dimensions_than_the_limit_is_sampled(embeddings):
    model = classifier("embedding", "log-mean-exp")
    exact = instance_shapley(model, embeddings, exact_dimensions=E)
    assert exact.standard_errors is None
    sampled = instance_shapley(model, embeddings, exact_dimensions=E - 1, sampled=True, max_permutations=2000)
    assert sampled.permutations == 2000
    assert ((sampled.values - exact.values) / sampled.standard_errors).abs().max() < 4
    with pytest.raises(TypeError, match=f"asked for up to {E - 1} dimensions; pass sampled=True"):
        instance_shapley(model, embeddings, exact_dimensions=E - 1)
    # the others take no integral for each dimension
    for other in (classifier("embedding", "max"), classifier("instance", "log-mean-exp")):
        assert instance_shapley(other, embeddings, exact_dimensions=1, sampled=True).standard_errors is None


def test_exact_where_it_can_be_although_sampling_is_permitted(embeddings):
    assert instance_shapley(classifier("embedding", "attention"), embeddings, sampled=True).permutations is None


def test_a_subclass_is_not_taken_for_its_base(embeddings):
    class Doubled(MeanPooling):
        def pool(self, instances, lengths):
            return 2 * super().pool(instances, lengths)

    model = EmbeddingLevel(Doubled(), nn.Linear(E, K))
    with pytest.raises(TypeError, match="Doubled and a linear head"):
        instance_shapley(model, embeddings)


def test_the_classifier_is_left_as_it_is(embeddings):
    model = classifier("embedding", "attention").train()
    instance_shapley(model, embeddings)
    assert model.training
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


def test_rows_and_dimensions_in_pieces(embeddings, monkeypatch):
    from shared.mil.shapley import instance_shapley as module

    models = [classifier("embedding", name) for name in ("attention", "log-mean-exp", "max")]
    whole = [instance_shapley(model, embeddings).values for model in models]
    monkeypatch.setattr(module, "ROWS", 3)
    monkeypatch.setattr(module, "NUMBERS", 2 * N)
    for model, expected in zip(models, whole, strict=True):
        torch.testing.assert_close(instance_shapley(model, embeddings).values, expected, rtol=0, atol=1e-12)


def test_says_what_it_cannot_explain(embeddings):
    model = classifier("embedding", "mean")
    with pytest.raises(TypeError, match="found Linear"):
        instance_shapley(nn.Linear(E, 1), embeddings)
    with pytest.raises(ValueError, match=r"target 3 does not exist: the classifier has 3 logits"):
        instance_shapley(model, embeddings, target=3)
    with pytest.raises(ValueError, match=r"\(N, E\), found shape \(0, 5\)"):
        instance_shapley(model, embeddings[:0])
    ending = EmbeddingLevel(MeanPooling(), nn.Sequential(nn.Linear(E, K), nn.Sigmoid()))
    with pytest.raises(ValueError, match="pass empty="):
        instance_shapley(ending, embeddings, sampled=True)
