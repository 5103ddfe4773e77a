import math

import pytest
import torch

from shared.mil.pooling.noisy_and import NoisyAndPooling


def test_the_threshold_decides_which_share_of_positive_instances_makes_the_bag_positive():
    pooling = NoisyAndPooling(a=50.0, b=0.3)
    for positive, sign in ((2, -1), (4, 1)):
        instances = torch.tensor([[20.0]] * positive + [[-20.0]] * (10 - positive))
        # σ(50 (p̄ − 0.3)) dominates: ± 5
        assert pooling(instances, torch.tensor([10])).item() == pytest.approx(sign * 5.0, abs=0.05)


def test_single_precision_holds_where_all_instances_are_sure():
    pooling = NoisyAndPooling(2, a=10.0, b=0.5)
    instances = torch.tensor([[-90.0, 90.0], [-95.0, 95.0]], requires_grad=True)
    lengths = torch.tensor([2])
    value = pooling(instances, lengths)
    # P → p̄ · a σ'(ab) / (σ(a(1−b)) − σ(−ab)) as p̄ → 0, and the mirror image at b = ½
    slope = 10.0 * torch.sigmoid(torch.tensor(5.0)) * torch.sigmoid(torch.tensor(-5.0))
    scale = slope / (torch.sigmoid(torch.tensor(5.0)) - torch.sigmoid(torch.tensor(-5.0)))
    log_share = torch.logsumexp(torch.tensor([-90.0, -95.0]), 0) - math.log(2)
    expected = log_share + scale.log()
    torch.testing.assert_close(value[0], torch.stack([expected, -expected]), rtol=1e-5, atol=1e-5)
    (gradient,) = torch.autograd.grad(value.sum(), instances)
    torch.testing.assert_close(gradient.sum(0), torch.ones(2))


def test_training_moves_the_thresholds_and_they_stay_shares():
    pooling = NoisyAndPooling(1, b=0.5)
    optimiser = torch.optim.SGD(pooling.parameters(), lr=100.0)
    instances = torch.tensor([[5.0], [-5.0], [-5.0], [-5.0]])
    for _ in range(20):
        optimiser.zero_grad()
        torch.nn.functional.softplus(-pooling(instances, torch.tensor([4]))).sum().backward()
        optimiser.step()
    assert 0 <= pooling.thresholds().item() < 0.2
    assert pooling(instances, torch.tensor([4])).item() > 0


@pytest.mark.parametrize(("arguments", "message"), [({"a": 0.0}, "slope a"), ({"b": 1.0}, "threshold b")])
def test_refuses_parameters_out_of_range(arguments, message):
    with pytest.raises(ValueError, match=message):
        NoisyAndPooling(1, **arguments)
