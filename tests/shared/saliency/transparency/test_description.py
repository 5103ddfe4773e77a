import importlib
import pkgutil

import pytest

import shared.saliency
from shared.saliency.bags.base import BagAttribution
from shared.saliency.bags.lrp.lrp import BagLRP
from shared.saliency.bags.lrp_attention import LRPAttention
from shared.saliency.base import Attribution
from shared.saliency.controls import EdgeMap
from shared.saliency.evet import EVET
from shared.saliency.feature_maps import ClassActivationMap, GradientActivationMap
from shared.saliency.grad_cam import GradCAM
from shared.saliency.lrp import LRP
from shared.saliency.smooth_grad import SmoothGrad
from shared.saliency.transparency.description import describe_method, describe_methods, describe_model, rule_of
from shared.saliency.transparency.method_rules import METHOD_RULES


def derived(kind):
    """All classes of the package that derive from a class."""
    return {one for child in kind.__subclasses__() for one in {child, *derived(child)}}


def test_every_method_of_the_package_has_its_rule_and_no_other_has():
    for module in pkgutil.walk_packages(shared.saliency.__path__, "shared.saliency."):
        importlib.import_module(module.name)
    methods = derived(Attribution) | derived(BagAttribution)
    names = {method.__name__ for method in methods if method.__module__.startswith("shared.saliency")}
    abstract = {ClassActivationMap.__name__, GradientActivationMap.__name__}
    assert names - abstract == set(METHOD_RULES)


def test_a_subclass_has_the_rule_of_the_nearest_class(network, build):
    class Own(SmoothGrad):
        pass

    assert rule_of(Own(network)) is METHOD_RULES["SmoothGrad"]
    assert rule_of(LRPAttention(build())) is METHOD_RULES["LRPAttention"]
    assert rule_of(object()) is None
    # what is combined with attention does not share out the logit any more
    assert METHOD_RULES["BagLRP"].whole == "logit"
    assert METHOD_RULES["LRPAttention"].whole is None


def test_a_description_has_title_rule_settings_and_what_was_found(network):
    methods = {"evet": EVET(network, GradCAM(network)), "edge_map": EdgeMap(network)}
    found = describe_methods(methods, {"evet": ["Good."]}, {"edge_map": ["Bad."]})
    assert found["evet"]["title"] == "EVET"
    assert found["evet"]["parameters"]["padding"] == "border"
    assert found["evet"]["parameters"]["method"]["class"].endswith("GradCAM")
    assert found["evet"]["parameters"]["method"]["layer"] == "features.4"
    assert [found["evet"][key] for key in ("control", "satisfies", "failed")] == [False, ["Good."], []]
    assert found["edge_map"]["control"]
    assert found["edge_map"]["failed"] == ["Bad."]
    assert "Oh et al." in found["evet"]["source"]


def test_what_is_no_attribution_is_described_by_its_rule(network, build):
    found = describe_method("shapley_mixture", rule=METHOD_RULES["SubsetShapley"], parameters={"permutations": 9})
    assert found["rule"] == METHOD_RULES["SubsetShapley"].rule
    assert found["parameters"] == {"permutations": 9}
    assert describe_method("untrained_lrp", LRP(network), control=True)["control"]
    assert describe_method("lrp", BagLRP(build(), epsilon=0.1))["parameters"]["epsilon"] == 0.1


def test_a_model_is_described_by_its_size(network):
    network.features.requires_grad_(False)
    found = describe_model(network, "LeNet-5")
    assert found["name"] == "LeNet-5"
    assert found["parameters"] == sum(parameter.numel() for parameter in network.parameters())
    assert found["parameters"] - found["trainable"] == 4 * 9 + 4 + 5 * 4 * 4 + 5
    assert found["layers"] == {"ReLU": 3, "Conv2d": 2, "Linear": 2, "MaxPool2d": 1, "Dropout": 1}


@pytest.mark.parametrize("name", METHOD_RULES)
def test_rules_are_sentences_with_a_source(name):
    rule = METHOD_RULES[name]
    assert rule.rule.endswith(".")
    assert rule.source
