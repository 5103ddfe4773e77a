import numpy as np
import pytest
import torch

from shared.saliency.bags.attention import AttentionWeights
from shared.saliency.bags.exact_shapley import ExactShapley
from shared.saliency.bags.leave_one_out import LeaveOneOut
from shared.saliency.bags.lrp.lrp import BagLRP
from shared.saliency.bags.random_values import RandomValues
from shared.saliency.bags.subset_shapley import SubsetShapley
from shared.saliency.controls import EdgeMap
from shared.saliency.grad_cam import GradCAM
from shared.saliency.lrp import LRP
from shared.saliency.lrp.rules import EpsilonRule
from shared.saliency.sanity.explained import ExplainedBags, ExplainedImages
from shared.saliency.transparency import oracle
from shared.saliency.transparency.oracle import CONTROL, NO_ORACLE, oracle_errors


def test_relevance_with_a_small_epsilon_is_input_times_gradient(network, images):
    methods = {
        "lrp": LRP(network),
        "gamma": LRP(network, "gamma"),
        "cam": GradCAM(network),
        "edges": EdgeMap(network),
    }
    found = oracle_errors(ExplainedImages(methods, images.float(), torch.zeros(4, dtype=torch.int64)), samples=3)
    assert found["lrp"].values.shape == (3,)
    assert found["lrp"].values.max() < 1e-3
    assert [found[name] for name in ("gamma", "cam", "edges")] == [NO_ORACLE, NO_ORACLE, CONTROL]


def test_a_wrong_rule_is_noticed(network, images, monkeypatch):
    right = EpsilonRule._added
    monkeypatch.setattr(EpsilonRule, "_added", lambda self, output: right(self, output) + 0.2)
    explained = ExplainedImages({"lrp": LRP(network)}, images, torch.zeros(4, dtype=torch.int64))
    assert oracle_errors(explained)["lrp"].values.min() > 0.01


def test_bags(build, features):
    model = build("attention and maximum")
    methods = {
        "lrp": BagLRP(model, epsilon=0.25),
        "detached": BagLRP(model, attention="detached"),
        "few": SubsetShapley(model, subsets=20),
        "many": SubsetShapley(model, subsets=2000),
        "left_out": LeaveOneOut(model),
        "random": RandomValues(model),
    }
    found = oracle_errors(ExplainedBags(methods, [features[:6], features[2:], features[6:7]]), samples=3)
    assert found["lrp"].values.max() < 1e-6
    assert found["left_out"].values.max() < 1e-9
    assert found["many"].values[:2].max() < 0.5 * found["few"].values[:2].min()
    assert found["detached"] == NO_ORACLE
    assert found["random"] == CONTROL


def test_without_exact_values_the_reason_is_given(build, features):
    model = build("attention", head="deep")
    methods = {"subsets": SubsetShapley(model), "attention": AttentionWeights(model)}
    found = oracle_errors(ExplainedBags(methods, [features]))
    assert found["subsets"].startswith("exact values are not known: no exact Shapley values for EmbeddingLevel")


def test_leaving_out_by_the_wrong_amount_is_noticed(build, features, monkeypatch):
    model = build("max")
    explained = ExplainedBags({"left_out": LeaveOneOut(model)}, [features])
    assert oracle_errors(explained)["left_out"].values[0] == pytest.approx(0, abs=1e-9)
    monkeypatch.setattr(oracle.LeaveOneOut, "_attribute", lambda self, model, bag: torch.ones(len(bag)).double())
    assert oracle_errors(explained)["left_out"].values[0] > 0.1
    assert np.isfinite(ExactShapley(model).attribute(features)).all()
