"""What a tile is like among the others of its slide: the numbers, what they do not depend on, and what they are for."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from shared.data.errors import DataError
from shared.saliency.bags.bag_model import BagModel
from shared.saliency.bags.lrp.lrp import BagLRP
from shared.training.weights import load_weights, save_weights

LENGTHS = torch.tensor([5, 1, 8])
FEATURES = 6
OPTIONS = {"in_features": FEATURES, "embedding": 4, "attention_dimension": 3, "slide_context": True}


@pytest.fixture(scope="module")
def context(scripts):
    return scripts("bag_context").BagContext


@pytest.fixture
def build(scripts):
    def build(name="attention_maximum", **options):
        torch.manual_seed(0)
        network = scripts("networks").assemble(name, **{**OPTIONS, "standardise": True, **options})
        network.standardisation().fit([torch.randn(40, FEATURES) * 7 + 3])
        return network.eval()

    return build


@pytest.fixture(scope="module")
def features():
    return torch.randn(14, FEATURES, generator=torch.Generator().manual_seed(1)) * 5 + 2


def test_numbers_of_each_bag(context, features):
    module = context(FEATURES, own_weight=0.5)
    module.standardisation.fit([features])
    own = module.standardisation(features).double().numpy()
    expected, start = [], 0
    for length in LENGTHS.tolist():
        bag = own[start : start + length]
        spread = np.sqrt(bag.var(axis=0) + 1e-6)
        expected += [np.concatenate([0.5 * row, (row - bag.mean(axis=0)) / spread]) for row in bag]
        start += length
    np.testing.assert_allclose(module(features, LENGTHS).numpy(), expected, rtol=1e-4, atol=1e-4)


def test_stain_of_a_slide_is_seen_by_the_own_features_alone(context, features):
    module = context(FEATURES, standardise=False)
    before = module(features, LENGTHS)
    shift, scale = torch.randn(3, FEATURES), torch.rand(3, FEATURES) + 0.5
    bag = torch.repeat_interleave(torch.arange(3), LENGTHS)
    after = module(features * scale[bag] + shift[bag], LENGTHS)
    torch.testing.assert_close(after[:, FEATURES:], before[:, FEATURES:], rtol=1e-4, atol=1e-4)
    assert not torch.allclose(after[:, :FEATURES], before[:, :FEATURES], atol=0.1)


def test_a_feature_that_is_the_same_everywhere_and_a_single_tile_stand_out_by_nothing(context):
    features = torch.tensor([[1.0, 7.0], [3.0, 7.0], [4.0, 4.0]], requires_grad=True)
    described = context(2, standardise=False)(features, torch.tensor([2, 1]))
    torch.testing.assert_close(described[:, 2:], torch.tensor([[-1.0, 0.0], [1.0, 0.0], [0.0, 0.0]]))
    described.sum().backward()
    assert features.grad.isfinite().all()


@pytest.mark.parametrize("weight", [0.0, -1.0, float("inf"), float("nan")])
def test_weight_without_meaning(context, weight):
    with pytest.raises(ValueError, match="own_weight must be positive and finite"):
        context(2, own_weight=weight)


@pytest.mark.parametrize("name", ["attention", "attention_maximum", "mean_embedding", "max_instance"])
def test_one_logit_however_bags_are_presented(build, scripts, features, name):
    network = build(name)
    alone = torch.cat([network(bag, torch.tensor([len(bag)])) for bag in features.split(LENGTHS.tolist())])
    torch.testing.assert_close(network(features, LENGTHS), alone)
    mask = torch.arange(9) < LENGTHS[:, None]
    padded = torch.full((3, 9, FEATURES), float("nan"))
    padded[mask] = features
    torch.testing.assert_close(network(padded, None, mask), alone)
    torch.testing.assert_close(scripts("padded_network").PaddedBagClassifier(network)(padded, mask), alone)
    torch.testing.assert_close(torch.jit.script(network)(features, LENGTHS), alone)
    torch.testing.assert_close(network.outputs(features, LENGTHS)["logits"], alone)


def test_explanations_begin_behind_it(build, scripts, features):
    network = build()
    inner = scripts("standardised_input").StandardisedInput(network)
    bag = features[:5]
    described = inner.standardised(bag)
    assert described.shape == (5, 2 * FEATURES)
    logit = network(bag, torch.tensor([5]))
    torch.testing.assert_close(inner(described, torch.tensor([5])), logit)
    BagModel(inner).check(described.double())
    assert BagLRP(inner).attribute(described).isfinite().all()
    # without a tile, what the others are like is what it was
    others = inner(described[1:], torch.tensor([4]))
    assert not torch.allclose(others, network(bag[1:], torch.tensor([4])))


def test_weights_say_whether_there_was_a_context(build, tmp_path):
    path = tmp_path / "model.pt"
    save_weights(build().state_dict(), path)
    load_weights(build(), path)
    with pytest.raises(DataError, match="slide_context is True in the weights, expected False"):
        load_weights(build(slide_context=False), path)
    with pytest.raises(DataError, match=r"own_weight is 0.3 in the weights, expected 0.5"):
        load_weights(build(own_weight=0.5), path)
    state = build(slide_context=False).state_dict()
    settings = json.loads(bytes(state["settings.settings"].tolist()))
    settings.pop("slide_context")
    state["settings.settings"] = torch.tensor(list(json.dumps(settings).encode()), dtype=torch.uint8)
    save_weights(state, path)  # of before there was a context
    with pytest.raises(DataError, match="slide_context is False in the weights, expected True"):
        load_weights(build(), path)
    load_weights(build(slide_context=False), path)


def test_refused(scripts):
    assemble = scripts("networks").assemble
    with pytest.raises(DataError, match="slide_context: found 'true', expected --slide_context True or"):
        assemble("attention", **{**OPTIONS, "slide_context": "true"})
    for wrong in (0, "much"):
        with pytest.raises(DataError, match=f"own_weight: found {wrong!r}, expected a number above 0"):
            assemble("attention", **OPTIONS, own_weight=wrong)
    with pytest.raises(DataError, match="slide_context: found true with an encoder of images"):
        assemble("attention", encoder=scripts("encoders").MnistEncoder(), slide_context=True)


def drawn(bags, seed, instances=100, evidence=1):
    """Draw bags with a stain of their own, wider than tiles differ; a few tiles of every second bag stand out."""
    generator = torch.Generator().manual_seed(seed)
    direction = torch.randn(FEATURES * 4, generator=torch.Generator().manual_seed(99))
    features = torch.randn(bags, instances, len(direction), generator=generator)
    labels = torch.arange(bags) % 2
    features[labels == 1, :evidence] += 10 * direction / direction.norm()
    stain = 4 * torch.randn(bags, 1, len(direction), generator=generator)
    return features + stain, labels.float()


def area(network, seed):
    features, labels = drawn(40, seed=seed)
    network.standardisation().fit(features)
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    network.train()
    for _ in range(15):
        for chosen in torch.randperm(40).split(4):
            optimizer.zero_grad()
            logits = network(features[chosen])[:, 0]
            torch.nn.functional.binary_cross_entropy_with_logits(logits, labels[chosen]).backward()
            optimizer.step()
    test, truth = drawn(60, seed=seed + 1)
    with torch.no_grad():
        return roc_auc_score(truth, network.eval()(test)[:, 0])


@pytest.mark.parametrize("seed", [0, 10])
def test_one_tile_of_a_hundred_is_found_among_slides_of_many_stains(scripts, seed):
    areas = {}
    for slide_context in (True, False):
        torch.manual_seed(seed)
        network = scripts("networks").assemble(
            "attention_maximum", FEATURES * 4, 32, 16, standardise=True, slide_context=slide_context
        )
        areas[slide_context] = area(network, seed)
    assert areas[True] > 0.9
    assert areas[False] < 0.75
