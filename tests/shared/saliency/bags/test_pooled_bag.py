"""The algebra of subsets against a call of the model for each; leave-one-out and random subsets with it."""

import pytest
import torch

from shared.saliency.bags.bag_model import BagModel
from shared.saliency.bags.leave_one_out import LeaveOneOut
from shared.saliency.bags.pooled_bag import PooledBag
from shared.saliency.bags.subset_shapley import SubsetShapley, random_subsets
from tests.oracles import bag_explanations as oracle
from tests.oracles import shapley

KINDS = [
    *[("embedding", name, head) for name in ("attention", "gated attention", "mean") for head in ("linear", "deep")],
    *[("embedding", "attention and maximum", head) for head in ("linear", "deep")],
    *[("embedding", name, "linear") for name in ("max", "log-mean-exp")],
    *[("instance", name, "deep") for name in ("attention", "attention and maximum", "mean", "max", "log-mean-exp")],
]


@pytest.mark.parametrize(("level", "pooling", "head"), KINDS)
@pytest.mark.parametrize("output", ["logit", "probability"])
def test_prefixes_and_contributions_are_the_models(level, pooling, head, output, build, features, value_of):
    model = build(pooling, head, level=level, logits=2)
    value = value_of(model, features, output, target=1)
    bag = PooledBag(BagModel(model, 1), features.double(), output)
    generator = torch.Generator().manual_seed(0)
    orders = torch.rand(2, 9, generator=generator).argsort(dim=1)
    expected = [[value(order[:k]) for k in range(10)] for order in orders.tolist()]
    torch.testing.assert_close(bag.prefixes(orders), torch.tensor(expected, dtype=torch.float64))
    subsets = random_subsets(4, 9, generator)
    subsets[0], subsets[1] = False, True
    for subset, row in zip(subsets.tolist(), bag.marginal_contributions(subsets).tolist(), strict=True):
        assert row == pytest.approx(oracle.subset_shapley([subset], value), abs=1e-10)
    assert bag.leave_one_out().tolist() == pytest.approx(oracle.leave_one_out(9, value), abs=1e-10)


@pytest.mark.parametrize("encoder", [False, True])
def test_leave_one_out_is_brute_force(encoder, build, features, value_of):
    model = build(encoder=encoder)
    features = features[:, :4] if encoder else features
    expected = oracle.leave_one_out(9, value_of(model, features))
    assert LeaveOneOut(model).attribute(features).tolist() == pytest.approx(expected, abs=1e-12)
    alone = LeaveOneOut(model).attribute(features[:1])
    value = value_of(model, features)
    assert float(alone[0]) == pytest.approx(value([0]) - value([]))


def test_leaving_out_what_outweighs_all_others_loses_no_digits(build, features, value_of):
    model = build()
    model.pooling.score.weight.data *= 30  # weights over some 60 powers of e
    bag = PooledBag(BagModel(model), features.double())
    logits = model.double().pooling.attention_logits(features.double(), torch.tensor([9])).detach()
    assert float(logits.max() - logits.sort().values[-2]) > 5
    assert float(logits.max() - logits.min()) > 60
    expected = oracle.leave_one_out(9, value_of(model, features))
    assert bag.leave_one_out().tolist() == pytest.approx(expected, rel=1e-9, abs=1e-14)


def test_blocks_of_subsets_change_nothing(build, features, monkeypatch):
    bag = PooledBag(BagModel(build(head="deep")), features.double())
    subsets = random_subsets(7, 9, torch.Generator().manual_seed(0))
    whole = bag.marginal_contributions(subsets)
    monkeypatch.setattr("shared.saliency.bags.pooled_bag.NUMBERS", 1)
    torch.testing.assert_close(bag.marginal_contributions(subsets), whole)


def test_other_poolings_and_outputs_are_refused(build, features):
    with pytest.raises(TypeError, match="NoisyOrPooling"):
        LeaveOneOut(build("noisy-or", level="instance")).attribute(features)
    with pytest.raises(ValueError, match="odds"):
        PooledBag(BagModel(build()), features.double(), "odds")


def test_random_subsets_have_every_size_alike_and_every_member_alike():
    subsets = random_subsets(30_000, 5, torch.Generator().manual_seed(0))
    counts = subsets.sum(dim=1).bincount(minlength=6)
    assert ((counts - 5000).abs() < 4 * 5000**0.5).all()
    for size in range(1, 5):
        share = subsets[subsets.sum(dim=1) == size].double().mean(dim=0)
        assert (share - size / 5).abs().max() < 0.03
    without = subsets[:, 1:].sum(dim=1).bincount(minlength=5)  # sizes of what is left without the first
    assert ((without - 6000).abs() < 4 * 6000**0.5).all()


def test_subset_shapley_is_its_definition_on_its_own_subsets(build, features, value_of):
    model = build(head="deep")
    subsets = random_subsets(64, 9, torch.Generator().manual_seed(5))
    expected = oracle.subset_shapley(subsets.tolist(), value_of(model, features))
    values = SubsetShapley(model, subsets=64, seed=5).attribute(features)
    assert values.tolist() == pytest.approx(expected, abs=1e-10)


def test_subset_shapley_meets_the_exact_values_within_its_standard_errors(build, features, value_of):
    model = build()
    exact = torch.tensor(shapley.shapley(8, value_of(model, features[:8])), dtype=torch.float64)
    deviations = []
    for seed in range(20):
        estimate = SubsetShapley(model, subsets=300, seed=seed).estimate(features[:8])
        deviations.append((estimate.values - exact) / estimate.standard_errors)
    scores = torch.stack(deviations)
    # 160 numbers of about standard normal distribution
    assert scores.abs().max() < 4.5
    assert 0.85 < float(scores.square().mean().sqrt()) < 1.2
    assert scores.mean(dim=0).abs().max() < 3.5 / 20**0.5


def test_standard_errors_are_those_of_the_samples_over_blocks(build, features):
    model = build()
    bag = PooledBag(BagModel(model), features.double())
    generator = torch.Generator().manual_seed(0)
    blocks = [random_subsets(count, 9, generator) for count in (64, 36)]
    samples = bag.marginal_contributions(torch.cat(blocks))
    estimate = SubsetShapley(model, subsets=100).estimate(features)
    torch.testing.assert_close(estimate.values, samples.mean(dim=0))
    torch.testing.assert_close(estimate.standard_errors, samples.std(dim=0) / 10)
    with pytest.raises(ValueError, match="at least 2"):
        SubsetShapley(model, subsets=1)
