"""Both checks on networks where the answer is known."""

import copy

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from shared.saliency.bags.attention import AttentionWeights
from shared.saliency.bags.exact_shapley import ExactShapley
from shared.saliency.bags.lrp_attention import LRPAttention
from shared.saliency.bags.random_values import RandomValues
from shared.saliency.base import Attribution
from shared.saliency.controls import EdgeMap, RandomMap
from shared.saliency.guided_backpropagation import GuidedBackpropagation
from shared.saliency.input_gradient import InputXGradient
from shared.saliency.sanity.checks import SanityChecks
from shared.saliency.sanity.explained import ExplainedBags, ExplainedImages
from shared.saliency.sanity.layers import redraw
from shared.saliency.sanity.random_logit import random_logit
from shared.saliency.sanity.randomisation import cascade_stages, cascading_randomisation


class Blank(Attribution):
    """Shows nothing."""

    def _attribute(self, images, target):
        return torch.zeros_like(images)


@pytest.fixture
def targets():
    return torch.tensor([0, 2, 1, 1])


def by_rank(first, second):
    return [float(spearmanr(a.ravel(), b.ravel()).statistic) for a, b in zip(first, second, strict=True)]


def test_the_cascade_is_the_likeness_to_networks_redrawn_layer_by_layer(network, images, targets):
    explained = ExplainedImages({"a": InputXGradient(network)}, images, targets)
    original = explained.explain(network)
    found = cascading_randomisation(explained, original, stages=None, draws=2, seed=5)["a"]
    layers = ["head.3", "head.0", "features.3", "features.0"]
    for draw in range(2):
        # stages before the last are shown and not judged: of the first draw
        assert np.isnan(found.likeness["rank_correlation"][:3, 1]).all()
        for stage in range(4) if draw == 0 else (3,):
            other = copy.deepcopy(network)
            redraw(other, layers[: stage + 1], seed=5 + draw)
            maps = InputXGradient(other).attribute(images, targets)[:, 0].numpy()
            expected = by_rank(original["a"], maps)
            np.testing.assert_allclose(found.likeness["rank_correlation"][stage, draw], expected, atol=1e-9)
    assert [stage["down_to"] for stage in found.stages] == layers
    assert [stage["randomised"] for stage in found.stages] == [1, 2, 3, 4]


def test_the_linear_network_has_a_closed_form(linear, images, targets):
    explained = ExplainedImages({"a": InputXGradient(linear)}, images, targets)
    trained = linear[1].weight.detach().numpy()
    other = copy.deepcopy(linear)
    redraw(other, ["1"], seed=0)
    random = other[1].weight.detach().numpy()
    pixels, classes = images.numpy().reshape(4, -1), targets.numpy()
    original = explained.explain(linear)
    cascade = cascading_randomisation(explained, original, stages=1, draws=1)["a"]
    expected = by_rank(pixels * trained[classes], pixels * random[classes])
    np.testing.assert_allclose(cascade.likeness["rank_correlation"][-1, 0], expected)
    logit = random_logit(explained, original, seed=0)["a"]
    maps = explained.explain_other(seed=0)["a"]
    np.testing.assert_allclose(logit.likeness["rank_correlation"][0, 0], by_rank(original["a"], maps))
    assert abs(np.mean(expected)) < 0.2


def test_maps_that_know_nothing_of_the_network_fail_both(network, images, targets):
    methods = {"edges": EdgeMap(network), "noise": RandomMap(network), "gradient": InputXGradient(network)}
    report = SanityChecks(stages=2, draws=2).run(ExplainedImages(methods, images, targets))
    values = {(row["measure"], row["method"]): row["value"] for row in report.rows()}
    assert len(values) == 6
    for name in ("edges", "noise"):
        assert len(report.failed(name)) == 2
        assert values["cascading_randomisation", name] == values["random_logit", name] == pytest.approx(1)
    assert report.failed("gradient") == []
    assert abs(values["cascading_randomisation", "gradient"]) < 0.25


def test_guided_backpropagation_fails_the_random_logit_test(network, targets):
    """Sixt et al. 2020, figure 6, in small; the gradient itself passes."""
    images = torch.rand(8, 1, 12, 12, generator=torch.Generator().manual_seed(9), dtype=torch.float64)
    methods = {"guided": GuidedBackpropagation(network), "gradient": InputXGradient(network)}
    explained = ExplainedImages(methods, images, targets.repeat(2))
    report = SanityChecks(stages=1, draws=1).run(explained)
    assert any(sentence.startswith("Random logit") for sentence in report.failed("guided"))
    assert report.failed("gradient") == []


def test_maps_that_show_nothing_have_not_passed(network, images, targets):
    report = SanityChecks(stages=1, draws=1).run(ExplainedImages({"blank": Blank(network)}, images, targets))
    for row in report.rows():
        assert row["value"] is None
        assert "nothing can be said" in row["reason"]
        assert row["parameters"]["undefined"] == 1.0
    assert report.failed("blank") == []


def test_likeness_stands_beside_that_of_different_images(network, images, targets):
    explained = ExplainedImages({"gradient": InputXGradient(network)}, images, targets)
    report = SanityChecks(stages=1, draws=1).run(explained)
    maps = report.original["gradient"]
    pairs = [by_rank([maps[i]], [maps[j]])[0] for i in range(4) for j in range(i)]
    for row in report.rows():
        assert row["chance"] == pytest.approx(np.mean(pairs))


def test_bags(build, features):
    model = build("gated attention")
    methods = {
        "shapley": ExactShapley(model),
        "attention": AttentionWeights(model),
        "combined": LRPAttention(model),
        "random": RandomValues(model),
    }
    bags = [features[:4], features[4:], features[1:7]]
    report = SanityChecks(stages=2, draws=3).run(ExplainedBags(methods, bags))
    rows = {(row["measure"], row["method"]): row for row in report.rows()}
    # one logit: a test that compared with its opposite could not fail for what is linear in it
    for name in methods:
        assert rows["random_logit", name]["value"] is None
        assert rows["random_logit", name]["reason"].startswith("one logit")
        assert rows["cascading_randomisation", name]["chance"] == 0.0
    assert rows["cascading_randomisation", "random"]["value"] == pytest.approx(1)
    # the head alone at the first stage: attention stays
    stages = rows["cascading_randomisation", "attention"]["parameters"]["stages"]
    assert stages[-1]["rank_correlation"] < 0.7
    assert report.failed("shapley") == []


def test_nothing_of_the_network_changes(network, images, targets):
    before = copy.deepcopy(network.state_dict())
    SanityChecks(stages=2, draws=1).run(ExplainedImages({"a": InputXGradient(network)}, images, targets))
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert network.training


def test_stages_are_spread_over_the_layers():
    assert list(cascade_stages(242, 4)) == [60, 121, 182, 242]
    with pytest.raises(ValueError, match="found 0 and 1"):
        cascading_randomisation(None, {}, stages=0, draws=1)
    with pytest.raises(ValueError, match="limit must be a likeness"):
        SanityChecks(limit=1.5)
