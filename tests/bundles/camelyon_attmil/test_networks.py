"""The networks against the papers' equations written slowly, and the same numbers however the bags are presented."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from shared.data.errors import DataError
from shared.mil.ragged import to_padded
from shared.saliency.bags.bag_model import BagModel
from shared.saliency.bags.lrp.lrp import BagLRP
from shared.training.weights import load_weights, save_weights
from tests.oracles import pooling as oracle

LENGTHS = torch.tensor([5, 1, 8])
FEATURES = 6
OPTIONS = {"in_features": FEATURES, "embedding": 4, "attention_dimension": 3}


@pytest.fixture(scope="module")
def networks(scripts):
    return scripts("networks")


@pytest.fixture(scope="module")
def names(networks):
    return [*networks.EMBEDDING_LEVEL, *networks.INSTANCE_LEVEL]


@pytest.fixture
def build(networks):
    def build(name, seed=0, **options):
        torch.manual_seed(seed)
        network = networks.assemble(name, **{**OPTIONS, **options})
        if (standardisation := network.standardisation()) is not None:
            standardisation.fit([torch.randn(40, FEATURES) * 7 + 3])
        return network.eval()

    return build


@pytest.fixture(scope="module")
def features():
    return torch.randn(14, FEATURES, generator=torch.Generator().manual_seed(1))


def array(tensor):
    return tensor.detach().double().numpy()


def equations(network, name, bag):
    """Return the logit of one bag, ``(N, E)``, one step after another in double precision."""
    h = np.maximum(array(bag) @ array(network.encoder.linear.weight).T + array(network.encoder.linear.bias), 0)
    head = network.level.head
    theta, bias, attention = array(head.weight)[0], head.bias.item(), network.level.pooling
    if name == "mean_instance":
        return math.fsum(row @ theta + bias for row in h) / len(h)
    if name == "max_instance":
        return max(row @ theta + bias for row in h)
    if name == "mean_embedding":
        return oracle.mean(h) @ theta + bias
    if name == "max_embedding":
        return oracle.maximum(h) @ theta + bias
    both, attention = attention, getattr(attention, "attention", attention)
    matrices = [array(attention.hidden[0].weight), array(attention.hidden[0].bias)]
    if name == "attention":
        weights = oracle.attention_weights(h, *matrices, array(attention.score.weight)[0])
    else:
        matrices += [array(attention.gate[0].weight), array(attention.gate[0].bias)]
        weights = oracle.gated_attention_weights(h, *matrices, array(attention.score.weight)[0])
    if name == "attention_maximum":
        return oracle.attention_maximum(h, weights, array(both.gain)) @ theta + bias
    return sum(w * row for w, row in zip(weights, h, strict=True)) @ theta + bias


PAPER = ["attention", "gated_attention", "mean_embedding", "max_embedding", "mean_instance", "max_instance"]


@pytest.mark.parametrize("name", [*PAPER, "attention_maximum"])
def test_equations(build, features, name):
    network = build(name)
    found = network(features, LENGTHS)
    assert found.shape == (3, 1)
    expected = [equations(network, name, bag) for bag in features.split(LENGTHS.tolist())]
    np.testing.assert_allclose(found[:, 0].detach(), expected, rtol=1e-5, atol=1e-6)
    assert np.ptp(expected) > 1e-3


def test_every_network_ragged_padded_alone_and_permuted(networks, build, features):
    for name in [*networks.EMBEDDING_LEVEL, *networks.INSTANCE_LEVEL]:
        network = build(name)
        together = network(features, LENGTHS)
        padded, mask = to_padded(features, LENGTHS)
        torch.testing.assert_close(network(padded, mask=mask), together, msg=name)
        for index, bag in enumerate(features.split(LENGTHS.tolist())):
            expected = together[index : index + 1]
            torch.testing.assert_close(network(bag[None]), expected, msg=name)
            shuffled = bag[torch.randperm(len(bag), generator=torch.Generator().manual_seed(3))]
            torch.testing.assert_close(network(shuffled, torch.tensor([len(bag)])), expected, msg=name)


def test_every_network_can_be_scripted(networks, build, features):
    for name in [*networks.EMBEDDING_LEVEL, *networks.INSTANCE_LEVEL]:
        network = build(name, standardise=True)
        scripted = torch.jit.script(network)
        torch.testing.assert_close(scripted(features, LENGTHS), network(features, LENGTHS), msg=name)
        dense = features[:12].unflatten(0, (3, 4))
        torch.testing.assert_close(scripted(dense), network(dense), msg=name)


@pytest.mark.parametrize("name", PAPER)
def test_outputs_are_those_of_one_pass(build, features, name):
    network = build(name)
    outputs = network.outputs(features, LENGTHS)
    torch.testing.assert_close(outputs["logits"], network(features, LENGTHS))
    assert outputs["embedding"].shape == (3, 4)
    if name in ("attention", "mean_embedding"):
        torch.testing.assert_close(network.level.head(outputs["embedding"]), outputs["logits"])


def test_weights_and_logits_of_instances(build, features):
    padded, mask = to_padded(features, LENGTHS)
    network = build("gated_attention")
    weights = network.instance_weights(features, LENGTHS)
    bags = zip(weights.split(LENGTHS.tolist()), network.embed(features).split(LENGTHS.tolist()), strict=True)
    pooled = torch.stack([w @ h for w, h in bags])
    torch.testing.assert_close(pooled, network.outputs(features, LENGTHS)["embedding"])
    in_padded = network.instance_weights(padded, mask=mask)
    torch.testing.assert_close(in_padded[mask], weights)
    assert in_padded[~mask].abs().max() == 0
    with pytest.raises(TypeError, match="gives no logit to an instance"):
        network.instance_logits(features, LENGTHS)

    network = build("max_instance")
    logits = network.instance_logits(features, LENGTHS)
    largest = torch.stack([bag.max(dim=0).values for bag in logits.split(LENGTHS.tolist())])
    torch.testing.assert_close(largest, network(features, LENGTHS))
    torch.testing.assert_close(network.instance_logits(padded, mask=mask)[mask], logits)
    for other in (network, build("max_embedding")):
        with pytest.raises(TypeError, match="no weight for each instance"):
            other.instance_weights(features, LENGTHS)


def test_standardised_features_have_the_spread_of_the_training_bags(scripts):
    """Every bag counts alike, and a constant feature keeps its unit."""
    bags = [torch.randn(n, 3, generator=torch.Generator().manual_seed(n)) * 50 + 1000 for n in (4, 30)]
    for bag in bags:
        bag[:, 2] = 0.1
    module = scripts("standardisation").FeatureStandardisation(3).fit(bags)
    means = [array(bag).mean(axis=0) for bag in bags]
    squares = [(array(bag) ** 2).mean(axis=0) for bag in bags]
    mean = (means[0] + means[1]) / 2
    deviation = np.sqrt((squares[0] + squares[1]) / 2 - mean**2)
    deviation[2] = 1
    np.testing.assert_allclose(array(module(bags[0])), (array(bags[0]) - mean) / deviation, rtol=1e-4, atol=1e-4)
    with pytest.raises(ValueError, match=r"shape \(N, 3\), found \(2, 4\)"):
        module.fit([torch.zeros(2, 4)])
    with pytest.raises(ValueError, match="no bag"):
        module.fit([])


def test_features_of_any_scale_give_the_same_network_output(build, features):
    """Another unit of the features changes nothing once the network knows their spread."""
    one, other = build("gated_attention", standardise=True), build("gated_attention", standardise=True)
    one.standardisation().fit([features])
    other.standardisation().fit([features * 1000 + 5])
    torch.testing.assert_close(other(features * 1000 + 5, LENGTHS), one(features, LENGTHS), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", PAPER)
@pytest.mark.parametrize("standardise", [False, True])
def test_explanations_take_the_networks_apart(build, features, name, standardise):
    network = build(name, standardise=standardise)
    model = BagModel(network)
    model.check(features.double())
    assert BagLRP(network).attribute(features[:5]).isfinite().all()


def test_without_an_encoder_the_features_are_pooled(build, features):
    network = build("mean_embedding", embedding=None)
    assert network.encoder is None
    expected = features[:5].mean(dim=0) @ network.level.head.weight[0] + network.level.head.bias
    torch.testing.assert_close(network(features[:5], torch.tensor([5]))[0], expected)


def test_dropout_is_active_in_training_only(build, features):
    network = build("attention", dropout=0.9)
    torch.testing.assert_close(network(features, LENGTHS), network(features, LENGTHS))
    network.train()
    assert not torch.allclose(network(features, LENGTHS), network(features, LENGTHS))


class TestImages:
    """Table 8 and table 9 of Ilse et al. 2018, layer by layer."""

    def test_mnist(self, scripts, networks):
        encoder = scripts("encoders").MnistEncoder()
        assert [tuple(p.shape) for p in encoder.parameters() if p.ndim > 1] == [
            (20, 1, 5, 5), (50, 20, 5, 5), (500, 800)
        ]  # fmt: skip
        network = networks.assemble("attention", encoder=encoder)
        images = torch.rand(7, 1, 28, 28)
        assert network.embed(images).shape == (7, 500)
        assert network(images, torch.tensor([3, 4])).shape == (2, 1)
        assert network(images[:6].unflatten(0, (2, 3))).shape == (2, 1)

    def test_colon(self, scripts, networks):
        encoder = scripts("encoders").ColonEncoder()
        assert [tuple(p.shape) for p in encoder.parameters() if p.ndim > 1] == [
            (36, 3, 4, 4), (48, 36, 3, 3), (512, 1200), (512, 512)
        ]  # fmt: skip
        network = networks.assemble("gated_attention", encoder=encoder).eval()
        assert network(torch.rand(5, 3, 27, 27), torch.tensor([5])).shape == (1, 1)
        assert torch.jit.script(network)(torch.rand(1, 5, 3, 27, 27)).shape == (1, 1)

    def test_too_small(self, scripts):
        with pytest.raises(ValueError, match="too small"):
            scripts("encoders").MnistEncoder(image_size=9)


class TestRefused:
    def test_unknown_name(self, networks):
        with pytest.raises(DataError, match=r"network_name: scripts.networks has no 'Nothing'; known: attention, "):
            networks.assemble("Nothing")

    def test_a_text_that_means_false(self, networks):
        with pytest.raises(DataError, match="standardise: found 'false', expected --standardise True or"):
            networks.assemble("attention", standardise="false")

    def test_unknown_option(self, build):
        with pytest.raises(DataError, match="pooling_options: max_embedding has no option k; its options: none"):
            build("max_embedding", options={"k": 3})

    def test_encoder_of_unknown_size(self, networks):
        with pytest.raises(DataError, match="Linear has no attribute embedding_size"):
            networks.assemble("attention", encoder=torch.nn.Linear(3, 4))

    def test_another_name_where_no_shape_tells(self, build, tmp_path):
        save_weights(build("max_embedding").state_dict(), tmp_path / "model.pt")
        load_weights(build("max_embedding"), tmp_path / "model.pt")
        message = r"model\.pt: network_name is 'max_embedding' in the weights, expected 'mean_embedding'"
        with pytest.raises(DataError, match=message):
            load_weights(build("mean_embedding"), tmp_path / "model.pt")


class TestFeatureKind:
    """What the network was trained on stands among its weights, and no other features pass."""

    @pytest.fixture
    def attributes(self, scripts):
        def attributes(**changes):
            known = {"slide_id": "a", "mpp": 0.5, "tile_size": 256, "encoder": "ResNet", "encoder_sha256": "ab"}
            return scripts("feature_file").FeatureAttributes(**{**known, **changes})

        return attributes

    def test_comes_with_the_weights(self, build, attributes, tmp_path):
        trained, other = build("attention"), build("attention")
        trained.feature_kind.set(attributes())
        save_weights(trained.state_dict(), tmp_path / "model.pt")
        other.feature_kind.check("b.h5", attributes(encoder="UNI"), FEATURES)
        load_weights(other, tmp_path / "model.pt")
        expected = {"encoder": "ResNet", "encoder_sha256": "ab", "tile_size": 256, "mpp": 0.5}
        assert other.feature_kind.read() == expected
        other.feature_kind.check("b.h5", attributes(slide_id="b", encoder="", mpp=0.503), FEATURES)
        message = "b.h5: features of another kind than those that the network was trained on .*encoder ResNet, now UNI"
        with pytest.raises(DataError, match=message):
            other.feature_kind.check("b.h5", attributes(encoder="UNI"), FEATURES)
        with pytest.raises(DataError, match="encoder_sha256 ab, now cd"):
            other.feature_kind.check("b.h5", attributes(encoder_sha256="cd"), FEATURES)

    def test_width(self, build, attributes):
        with pytest.raises(DataError, match=r"b.h5: 9 features per tile, the network takes 6; .*--in_features 9"):
            build("attention").feature_kind.check("b.h5", attributes(), 9)

    def test_survives_scripting_and_precision(self, build, attributes, features):
        network = build("attention").half().double()
        network.feature_kind.set(attributes())
        assert network.feature_kind.read()["encoder"] == "ResNet"
        torch.jit.script(network)(features.double(), LENGTHS)
