import numpy as np
import pytest
import torch

from shared.saliency.bags.bag_model import BagModel
from shared.saliency.bags.exact_shapley import ExactShapley
from shared.saliency.bags.pooled_bag import PooledBag
from shared.saliency.bags.quality.bag_quality import RANDOM_ORDERS, bag_quality, peak_of_bag
from shared.saliency.bags.quality.instance_truth import average_precision_chance, instance_truth
from shared.saliency.bags.quality.perturbation import descending_orders, perturb
from shared.saliency.bags.quality.quality_table import over_runs, quality_table
from tests.oracles import bag_explanations as oracle


@pytest.mark.parametrize("pooling", ["attention", "max"])
@pytest.mark.parametrize("instances", [1, 9, 104])
def test_curves_call_the_model_for_every_prefix(pooling, instances, build, value_of):
    model = build(pooling, head="deep")
    features = torch.randn(instances, 5, generator=torch.Generator().manual_seed(1))
    value = value_of(model, features, "probability")
    orders = torch.stack([torch.arange(instances), torch.arange(instances).flip(0)])[: 2 if instances < 10 else 1]
    measured = perturb(PooledBag(BagModel(model), features.double(), "probability"), orders)
    for row, order in enumerate(orders.tolist()):
        drop, add = oracle.drop_curve(order, value, 101), oracle.add_curve(order, value, 101)
        assert measured.drop[row].tolist() == pytest.approx(drop)
        assert measured.add[row].tolist() == pytest.approx(add)
        assert float(measured.aupc_drop[row]) == pytest.approx(np.mean(drop))
        assert float(measured.aupc_add[row]) == pytest.approx(np.mean(add))
        if instances > 1:
            assert float(measured.aopc[row]) == pytest.approx(oracle.aopc(order, value))
        else:
            assert np.isnan(float(measured.aopc[row]))


def test_equal_values_do_not_fall_together():
    values = torch.zeros(1, 1000)
    values[0, :500] = 1
    order = descending_orders(values)[0]
    assert set(order[:500].tolist()) == set(range(500))
    assert abs(np.corrcoef(order[:500], np.arange(500))[0, 1]) < 0.2
    distinct = torch.tensor([[0.3, -1.0, 2.0]])
    assert descending_orders(distinct).tolist() == [[2, 0, 1]]


def test_truth_measures_are_their_definitions():
    generator = np.random.default_rng(0)
    values, positive = generator.standard_normal((3, 20)), np.arange(20) % 4 == 0
    measured = instance_truth(values, positive)
    for row in range(3):
        arguments = values[row].tolist(), positive.tolist()
        assert measured["instance_auc"]["value"][row] == pytest.approx(oracle.auc(*arguments))
        assert measured["instance_ndcg"]["value"][row] == pytest.approx(oracle.ndcg(*arguments))
        assert measured["instance_ap"]["value"][row] == pytest.approx(oracle.average_precision(*arguments))
    nothing = instance_truth(values, np.zeros(20, dtype=bool))
    assert all(np.isnan(part["value"]).all() and np.isnan(part["chance"]).all() for part in nothing.values())


@pytest.mark.parametrize(("instances", "positive"), [(5, 1), (6, 3)])
def test_chance_is_the_mean_over_random_orders(instances, positive):
    truth = np.arange(instances) < positive
    generator = np.random.default_rng(0)
    draws = [oracle.average_precision(generator.random(instances), truth) for _ in range(4000)]
    error = np.std(draws) / 4000**0.5
    assert average_precision_chance(instances, positive) == pytest.approx(np.mean(draws), abs=4 * error)


def test_every_method_and_the_control_on_one_bag(build, features, value_of):
    model = build()
    value = value_of(model, features, "probability")
    shapley = ExactShapley(model).attribute(features)
    truth = np.arange(9) < 3
    measured = bag_quality(model, features, {"shapley": shapley, "opposite": -shapley}, truth, seed=3)
    assert measured.methods == ("shapley", "opposite", "random")
    control = torch.rand(RANDOM_ORDERS, 9, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    orders = control.argsort(dim=1, descending=True).tolist()
    random_aopc = np.mean([oracle.aopc(order, value) for order in orders])
    best = shapley.argsort(descending=True).tolist()
    assert measured.values["aopc_r"][0] == pytest.approx(oracle.aopc(best, value) - random_aopc)
    assert measured.values["aopc_r"][2] == pytest.approx(0)
    for name, curve in (("aupc_drop", oracle.drop_curve), ("aupc_add", oracle.add_curve)):
        assert measured.values[name][0] == pytest.approx(np.mean(curve(best, value, 101)))
        expected = np.mean([curve(order, value, 101) for order in orders])
        assert measured.values[name][2] == pytest.approx(expected)
        assert measured.chance[name] == pytest.approx(expected)
    assert measured.values["aopc_r"][0] > 0 > measured.values["aopc_r"][1]
    assert measured.values["aupc_drop"][0] < measured.values["aupc_drop"][1]
    assert measured.values["instance_auc"][:2].sum() == pytest.approx(1)
    assert measured.values["instance_auc"][2] == 0.5
    assert measured.values["peak"][0] == pytest.approx(float(shapley.abs().max() / shapley.abs().mean()))
    assert measured.drop.shape == measured.add.shape == (3, 101)


def test_values_that_do_not_fit_are_refused(build, features):
    for explanations, message in [
        ({}, "at least one"),
        ({"random": torch.zeros(9)}, "control"),
        ({"short": torch.zeros(8)}, "short.*9 instances"),
        ({"broken": torch.full((9,), float("nan"))}, "broken.*NaN"),
    ]:
        with pytest.raises(ValueError, match=message):
            bag_quality(build(), features, explanations)


def test_the_table_keeps_negative_bags_apart(build, features):
    model = build()
    bags = []
    for seed, scale in enumerate((1.0, 1.0, 1.0, 0.1)):
        values = scale * torch.linspace(1, -1, 9, dtype=torch.float64)
        truth = np.arange(9) < (3 if seed < 2 else 0)
        bags.append(bag_quality(model, features + seed, {"line": values}, truth))
    table = quality_table(bags, [1, 1, 0, 0], resamples=50)
    positive, negative = table["positive"]["line"], table["negative"]["line"]
    assert positive["instance_auc"]["value"] == 1.0
    assert positive["instance_auc"]["n"] == 2
    assert "instance_auc" not in negative
    # the same line at another scale stands out as much
    assert negative["peak_ratio"]["value"] == pytest.approx(1.0)
    expected = np.mean([bag.values["aupc_drop"][0] for bag in bags[2:]])
    assert negative["aupc_drop"]["value"] == pytest.approx(expected)
    assert negative["aupc_drop"]["chance"] == pytest.approx(np.mean([bag.chance["aupc_drop"] for bag in bags[2:]]))
    assert table["positive"]["random"]["instance_auc"]["value"] == 0.5
    with pytest.raises(ValueError, match="one label each"):
        quality_table(bags, [1, 0])


def test_the_peak_does_not_depend_on_the_size_of_a_bag():
    """Weights that add up to one, a of them on the first of N instances, the rest on the others alike: N a."""
    peaks = {}
    for instances in (10, 1000):
        for share in (0.2, 0.5):
            weights = torch.full((instances,), (1 - share) / (instances - 1), dtype=torch.float64)
            weights[0] = share
            peaks[instances, share] = float(peak_of_bag(weights[None])[0])
            assert peaks[instances, share] == pytest.approx(instances * share)
            # every instance three times, each with a third of its weight
            assert float(peak_of_bag((weights / 3).repeat(3)[None])[0]) == pytest.approx(instances * share)
    assert peak_of_bag(torch.full((1, 5), -0.2)).tolist() == pytest.approx([1.0])
    assert peak_of_bag(torch.zeros(1, 7)).tolist() == [1.0]


def test_quiet_bags_of_other_sizes_are_quiet(build, features):
    """The maximum of uniform weights is higher in a small negative bag than in a large one; the peak is not."""
    model = build()
    large = features.repeat(4, 1)
    found = torch.full((len(large),), 0.5 / (len(large) - 1), dtype=torch.float64)
    found[0] = 0.5  # peak: 36 × 0.5
    bags = [bag_quality(model, large, {"weights": found}), bag_quality(model, features, {"weights": torch.ones(9) / 9})]
    # a negative bag in which all weight is on one instance has a peak of 9, and does not move the median of three
    one = torch.eye(9)[0]
    bags += [bag_quality(model, features, {"weights": values}) for values in (torch.ones(9) / 9, one)]
    negative = quality_table(bags, [1, 0, 0, 0], resamples=5)["negative"]["weights"]
    assert negative["peak_ratio"]["value"] == pytest.approx(1 / 18)
    assert negative["peak_ratio"]["n"] == 3


def test_runs_have_mean_and_sample_deviation():
    def table(value):
        return {"positive": {"a": {"aopc_r": {"value": value, "ci95": None}}}, "negative": {}}

    summary = over_runs([table(1.0), table(2.0), table(6.0)])
    entry = summary["positive"]["a"]["aopc_r"]
    assert entry == {"mean": 3.0, "std": pytest.approx(7**0.5), "runs": [1.0, 2.0, 6.0]}
    assert over_runs([table(1.0)])["positive"]["a"]["aopc_r"]["std"] is None
