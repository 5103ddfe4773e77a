import math

import pytest
import torch
from scipy.special import logsumexp

from shared.mil.pooling.log_mean_exp import LogMeanExpPooling

SHARPNESS = [1e-3, 1e-2, 0.1, 1.0, 10.0, 100.0, 1e3]


@pytest.mark.parametrize("r", SHARPNESS)
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize("size", [1, 2, 100, 100_000])
def test_single_precision_is_right_for_any_sharpness_scale_and_size(r, scale, size):
    bag = torch.randn(size, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).float() * scale
    bag.requires_grad_()
    result = LogMeanExpPooling(r)(bag, torch.tensor([size]))
    (gradient,) = torch.autograd.grad(result.sum(), bag)
    exact = bag.detach().double()
    # the reference cancels for small r, even in double precision: there to second order, mean + r/2 variance
    if r * scale <= 1e-3:
        expected = exact.mean(0) + r / 2 * exact.var(0, unbiased=False)
        slack = 1e-6 * scale
    else:
        expected = torch.from_numpy(logsumexp(r * exact.numpy(), axis=0) - math.log(size)) / r
        slack = 0.0
    torch.testing.assert_close(result[0].double(), expected, rtol=1e-6, atol=1e-6 * scale + slack)
    torch.testing.assert_close(gradient.double(), (r * exact).softmax(0), rtol=2e-3, atol=1e-6)


def test_tends_to_the_mean_and_to_the_maximum():
    bag = torch.tensor([[-2.0], [1.0], [4.0]])
    lengths = torch.tensor([3])
    assert LogMeanExpPooling(1e-6)(bag, lengths).item() == pytest.approx(1.0, abs=1e-5)
    assert LogMeanExpPooling(1e6)(bag, lengths).item() == pytest.approx(4.0, abs=1e-5)


def test_one_instance_among_100000_stands_out_by_the_logarithm_of_their_number():
    bag = torch.full((100_000, 1), -50.0)
    bag[777] = 3.0
    result = LogMeanExpPooling(1.0)(bag, torch.tensor([100_000]))
    assert result.item() == pytest.approx(3.0 - math.log(1e5), abs=1e-5)


def test_equal_instances_give_their_value_exactly():
    for r in SHARPNESS:
        assert LogMeanExpPooling(r)(torch.full((7, 1), 123.456), torch.tensor([7])).item() == torch.tensor(123.456)


@pytest.mark.parametrize("r", [0.0, -1.0, math.inf, math.nan])
def test_refuses_a_sharpness_that_is_none(r):
    with pytest.raises(ValueError, match="r must be positive and finite"):
        LogMeanExpPooling(r)
