import itertools

import pytest
import torch
from scipy.special import logsumexp

from shared.mil.pooling.noisy_or import NoisyOrPooling


def pooled(*logits, dtype=torch.float32):
    instances = torch.tensor(logits, dtype=dtype)[:, None].requires_grad_()
    result = NoisyOrPooling()(instances, torch.tensor([len(logits)]))
    (gradient,) = torch.autograd.grad(result.sum(), instances)
    return result.item(), gradient[:, 0].tolist()


@pytest.mark.parametrize("logit", [-1000.0, -100.0, -20.0, -19.9, -1.0, 0.0, 1.0, 20.0, 100.0, 1000.0])
def test_one_instance_is_the_bag(logit):
    value, gradient = pooled(logit)
    assert value == pytest.approx(logit, rel=1e-6, abs=1e-6)
    assert gradient == pytest.approx([1.0], rel=1e-5)


def test_very_improbable_instances_add_their_probabilities():
    # P = 2 e⁻³⁰⁰: no float32 holds it, its logit is −300 + log 2
    value, gradient = pooled(-300.0, -300.0)
    assert value == pytest.approx(-300.0 + 0.693147, rel=1e-6)
    assert gradient == pytest.approx([0.5, 0.5])


def test_sure_instances_add_their_certainty():
    # 1 − P = e⁻²⁰⁰ e⁻³⁰⁰
    value, gradient = pooled(200.0, 300.0, -500.0)
    assert value == pytest.approx(500.0)
    assert gradient == pytest.approx([1.0, 1.0, 0.0])


def test_single_precision_holds_for_100000_instances():
    logits = torch.randn(100_000, 1, generator=torch.Generator().manual_seed(0)) * 3 - 20
    expected = torch.log(torch.expm1(torch.nn.functional.softplus(logits.double()).sum())).item()
    assert NoisyOrPooling()(logits, torch.tensor([100_000])).item() == pytest.approx(expected, abs=1e-5)


def test_rare_positives_pool_their_odds_as_keeler_et_al_do():
    logits = [-12.0, -11.0, -13.5]
    assert pooled(*logits, dtype=torch.float64)[0] == pytest.approx(logsumexp(logits), abs=1e-4)


def test_another_instance_never_lowers_the_output():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(50, 1, dtype=torch.float64, generator=generator) * 10
    values = [NoisyOrPooling()(logits[:size], torch.tensor([size])).item() for size in range(1, 51)]
    assert all(after >= before for before, after in itertools.pairwise(values))
    assert values[-1] > values[0]
