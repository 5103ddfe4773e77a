import numpy as np
import pytest
import torch

from shared.mil.ragged import (
    bag_index,
    check_lengths,
    from_padded,
    segment_logsumexp,
    segment_max,
    segment_mean,
    segment_softmax,
    segment_sum,
    to_padded,
)

# the sums of few large bags are computed otherwise than those of many small ones
SIZES = {"small": [1, 5, 2, 9], "large": [1, 300, 2, 500], "one": [7], "many": [3] * 200}


def batch(sizes, *shape, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(sum(sizes), *shape, generator=generator, dtype=torch.float64).to(dtype)
    return values, torch.tensor(sizes)


def bag_by_bag(function, values, lengths):
    return [function(bag) for bag in torch.split(values, lengths.tolist())]


REDUCTIONS = {
    segment_sum: lambda bag: bag.sum(0),
    segment_mean: lambda bag: bag.mean(0),
    segment_max: lambda bag: bag.max(0).values,
    segment_logsumexp: lambda bag: torch.logsumexp(bag, 0),
}


@pytest.mark.parametrize("shape", [(), (3,), (2, 4)])
@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("reduction", REDUCTIONS, ids=lambda function: function.__name__)
def test_reductions_and_their_gradients_equal_those_of_each_bag_alone(reduction, sizes, shape):
    values, lengths = batch(sizes, *shape)
    values.requires_grad_()
    weights = torch.rand(len(sizes), *shape, dtype=torch.float64)
    result = reduction(values, lengths)
    (gradient,) = torch.autograd.grad((result * weights).sum(), values)
    expected = torch.stack(bag_by_bag(REDUCTIONS[reduction], values, lengths))
    (expected_gradient,) = torch.autograd.grad((expected * weights).sum(), values)
    torch.testing.assert_close(result, expected)
    torch.testing.assert_close(gradient, expected_gradient)


@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
def test_softmax_equals_that_of_each_bag_alone(sizes):
    values, lengths = batch(sizes, 2)
    expected = torch.cat(bag_by_bag(lambda bag: bag.softmax(0), values, lengths))
    torch.testing.assert_close(segment_softmax(values, lengths), expected)


def test_softmax_and_logsumexp_are_right_for_values_that_exponentials_cannot_hold():
    values, lengths = torch.tensor([1000.0, 999.0, -1000.0, -1001.0, -torch.inf]), torch.tensor([2, 3])
    torch.testing.assert_close(
        segment_softmax(values, lengths), torch.cat([bag.softmax(0) for bag in values.split([2, 3])])
    )
    torch.testing.assert_close(
        segment_logsumexp(values, lengths), torch.stack([bag.logsumexp(0) for bag in values.split([2, 3])])
    )


def test_the_gradient_of_the_maximum_is_shared_by_equal_instances():
    values = torch.tensor([1.0, 1.0, 0.0, 2.0], requires_grad=True)
    segment_max(values, torch.tensor([3, 1])).sum().backward()
    assert values.grad.tolist() == [0.5, 0.5, 0.0, 1.0]


def test_the_mean_of_100000_half_precision_instances_neither_overflows_nor_stalls():
    values = torch.full((100_000, 2), 3.0, dtype=torch.float16)
    mean = segment_mean(values, torch.tensor([100_000]))
    assert mean.dtype == torch.float16
    assert mean.tolist() == [[3.0, 3.0]]


def test_single_precision_sums_of_large_bags_are_right_to_its_rounding():
    values, lengths = torch.rand(100_001, 3), torch.tensor([100_000, 1])
    expected = np.stack([values[:-1].double().sum(0), values[-1].double()])
    np.testing.assert_allclose(segment_sum(values, lengths), expected, rtol=5e-7)


def test_bag_index_counts_the_bags():
    assert bag_index(torch.tensor([2, 1, 3])).tolist() == [0, 0, 1, 2, 2, 2]


@pytest.mark.parametrize("shape", [(), (3,), (2, 4)])
def test_padding_and_back(shape):
    values, lengths = batch([2, 5, 1], *shape)
    padded, mask = to_padded(values, lengths)
    assert padded.shape == (3, 5, *shape)
    assert mask.sum(1).tolist() == [2, 5, 1]
    assert (padded[~mask] == 0).all()
    assert torch.equal(padded[1], values[2:7])
    back, sizes = from_padded(padded, mask)
    assert torch.equal(back, values)
    assert torch.equal(sizes, lengths)


def test_a_mask_may_have_holes_and_none_means_full_bags():
    padded = torch.arange(6.0).reshape(2, 3)
    values, lengths = from_padded(padded, torch.tensor([[True, False, True], [False, True, False]]))
    assert values.tolist() == [0.0, 2.0, 4.0]
    assert lengths.tolist() == [2, 1]
    values, lengths = from_padded(padded)
    assert values.tolist() == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    assert lengths.tolist() == [3, 3]


@pytest.mark.parametrize(
    ("lengths", "message"),
    [
        (torch.tensor([2, 0, 3, 0]), r"empty bags, by their places in the batch: \[1, 3\]"),
        (torch.tensor([6, -1]), r"places in the batch: \[1\]"),
        (torch.tensor([2, 2]), "add up to 4, but the batch holds 5"),
        (torch.tensor([2.0, 3.0]), "int64 vector"),
        (torch.tensor([[2, 3]]), "int64 vector"),
        (torch.tensor([], dtype=torch.int64), "int64 vector"),
    ],
)
def test_lengths_that_do_not_fit_are_refused(lengths, message):
    with pytest.raises(ValueError, match=message):
        check_lengths(lengths, 5)
    for function in (*REDUCTIONS, segment_softmax, to_padded):
        with pytest.raises(ValueError, match=message):
            function(torch.zeros(5), lengths)


def test_masks_that_do_not_fit_are_refused():
    padded = torch.zeros(2, 3, 4)
    with pytest.raises(ValueError, match="must be boolean"):
        from_padded(padded, torch.ones(2, 3))
    with pytest.raises(ValueError, match=r"shape \[2, 3\]"):
        from_padded(padded, torch.ones(2, 4, dtype=torch.bool))
    with pytest.raises(ValueError, match=r"places in the batch: \[1\]"):
        from_padded(padded, torch.tensor([[True, False, False], [False, False, False]]))
    with pytest.raises(ValueError, match="first dimensions"):
        from_padded(torch.zeros(3))
