import math

import pytest
import torch

from shared.mil.shapley.attention import attention_shapley
from shared.mil.shapley.mean import mean_shapley
from tests.oracles import shapley as oracle


def bag(n, spread, seed=0):
    generator = torch.Generator().manual_seed(1000 * seed + n)
    scores = 3 * torch.randn(n, dtype=torch.float64, generator=generator)
    return scores, spread * torch.rand(n, dtype=torch.float64, generator=generator)


def expected_values(scores, logits, empty):
    return oracle.shapley(len(scores), oracle.attention_value(scores.tolist(), logits.tolist(), empty))


@pytest.mark.parametrize("n", [1, 2, 3, 6, 12])
@pytest.mark.parametrize("spread", [0.0, 0.1, 3.0, 15.0, 40.0, 80.0, 300.0])
def test_equals_the_sum_over_all_subsets(n, spread):
    scores, logits = bag(n, spread)
    result = attention_shapley(scores, logits, empty=-0.7)
    assert result.values.tolist() == pytest.approx(expected_values(scores, logits, -0.7), abs=1e-9)
    assert result.efficiency_gap < 1e-9


@pytest.mark.parametrize("seed", range(20))
def test_holds_for_any_small_bag(seed):
    scores, logits = bag(2 + seed % 5, 2.0 * seed, seed)
    expected = expected_values(scores, logits, 0.0)
    assert attention_shapley(scores, logits).values.tolist() == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    "logits",
    [
        [0.0, 700.0, 1e4, 1e4 + 1, -1e9],
        [-1e6, -1e6 + 0.5, -1e6 - 3, -1e6, -1e6],
        [1e30, -1e30, 0.0, 1e30, 3.0],
        [0.0, 38.0, 76.0, 114.0, 200.0],
    ],
)
def test_huge_and_far_apart_logits(logits):
    scores, logits = bag(5, 0.0)[0], torch.tensor(logits, dtype=torch.float64)
    result = attention_shapley(scores, logits, empty=0.4)
    assert result.values.tolist() == pytest.approx(expected_values(scores, logits, 0.4), abs=1e-9)


@pytest.mark.parametrize("n", [1, 2, 50, 3000, 50_000])
def test_equal_weights_are_the_mean(n):
    scores = torch.randn(n, dtype=torch.float64, generator=torch.Generator().manual_seed(n))
    expected = mean_shapley(scores, 0.3).values
    values = attention_shapley(scores, torch.full((n,), -2.0), empty=0.3).values
    assert (values - expected).abs().max() < 1e-9 * expected.abs().max()


@pytest.mark.parametrize("distance", [0.3, 5.0, 12.0, 40.0, 80.0])
@pytest.mark.parametrize("sizes", [(300, 1), (200, 150), (3, 250)])
def test_two_kinds_of_instances(distance, sizes):
    weight = math.exp(-distance)

    def value(k):
        return (k[0] * weight * -1.0 + k[1] * 2.0) / (k[0] * weight + k[1]) if sum(k) else 0.6

    expected = oracle.two_kinds_shapley(sizes, value)
    kinds = torch.cat([torch.zeros(sizes[0]), torch.ones(sizes[1])]).double()
    result = attention_shapley(3 * kinds - 1, distance * kinds, empty=0.6)
    assert (result.values[: sizes[0]] - expected[0]).abs().max() < 1e-9
    assert (result.values[sizes[0] :] - expected[1]).abs().max() < 1e-9
    assert result.efficiency_gap < 1e-9


def test_an_instance_without_weight_is_a_dummy():
    scores, logits = bag(6, 4.0)
    logits[[1, 4]] = -math.inf
    result = attention_shapley(scores, logits, empty=0.2)
    assert result.values[[1, 4]].tolist() == [0, 0]
    kept = [0, 2, 3, 5]
    assert torch.equal(result.values[kept], attention_shapley(scores[kept], logits[kept], empty=0.2).values)
    assert result.values.tolist() == pytest.approx(expected_values(scores, logits, 0.2), abs=1e-9)
    # however low, a finite logit decides where it is alone
    logits[4] = -1e5
    values = attention_shapley(scores, logits, empty=0.2).values
    assert values[4].item() == pytest.approx((scores[4].item() - 0.2) / 5, abs=1e-9)


def test_like_instances_have_like_values():
    scores, logits = bag(30, 20.0)
    scores[17], logits[17] = scores[3], logits[3]
    values = attention_shapley(scores, logits).values
    assert values[17].item() == pytest.approx(values[3].item(), abs=1e-15)


def test_order_scale_and_shift():
    scores, logits = bag(500, 25.0)
    values = attention_shapley(scores, logits, empty=0.5).values
    order = torch.randperm(500, generator=torch.Generator().manual_seed(0))
    tolerance = {"rtol": 0, "atol": 1e-9}
    torch.testing.assert_close(attention_shapley(scores[order], logits[order], 0.5).values, values[order], **tolerance)
    # the grid lies elsewhere for other logits, so that its error would show
    torch.testing.assert_close(attention_shapley(scores, logits + 123.456, 0.5).values, values, **tolerance)
    torch.testing.assert_close(attention_shapley(scores + 1000, logits, 1000.5).values, values, **tolerance)
    torch.testing.assert_close(attention_shapley(-4 * scores, logits, -2.0).values, -4 * values, **tolerance)


@pytest.mark.parametrize("spread", [1.0, 40.0])
def test_many_instances_add_up(spread):
    scores, logits = bag(100_000, spread)
    result = attention_shapley(scores, logits, empty=1.0)
    assert result.values.sum().item() == pytest.approx(float(logits.softmax(0) @ scores) - 1, abs=1e-8)
    assert result.efficiency_gap < 1e-8


@pytest.mark.parametrize(
    ("logits", "message"),
    [
        (torch.zeros(3), r"as many logits as scores, found \(3,\) and \(2,\)"),
        (torch.tensor([0.0, math.inf]), "found NaN or infinity"),
        (torch.tensor([math.nan, 0.0]), "found NaN or infinity"),
        (torch.full((2,), -math.inf), "no instance has any weight"),
    ],
)
def test_says_what_is_wrong_with_the_logits(logits, message):
    with pytest.raises(ValueError, match=message):
        attention_shapley(torch.zeros(2), logits)
