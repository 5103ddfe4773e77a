"""What every pooling operator promises, whatever it computes."""

import copy

import numpy as np
import pytest
import torch

from shared.mil.pooling.attention import AttentionPooling
from shared.mil.pooling.attention_maximum import AttentionMaximumPooling
from shared.mil.pooling.gated_attention import GatedAttentionPooling
from shared.mil.pooling.log_mean_exp import LogMeanExpPooling
from shared.mil.pooling.maximum import MaxPooling
from shared.mil.pooling.mean import MeanPooling
from shared.mil.pooling.noisy_and import NoisyAndPooling
from shared.mil.pooling.noisy_or import NoisyOrPooling
from shared.mil.pooling.top_k_mean import TopKMeanPooling
from shared.mil.ragged import to_padded
from tests.oracles import pooling as oracle

E = 5
SIZES = [3, 1, 8, 40, 2]


def weights_of(linear):
    return linear.weight.detach().double().numpy(), linear.bias.detach().double().numpy()


def attention(operator, bag):
    weights = oracle.attention_weights(bag, *weights_of(operator.hidden[0]), operator.score.weight[0].detach().numpy())
    return sum(w * h for w, h in zip(weights, bag, strict=True))


def gated_weights(operator, bag):
    return oracle.gated_attention_weights(
        bag,
        *weights_of(operator.hidden[0]),
        *weights_of(operator.gate[0]),
        operator.score.weight[0].detach().numpy(),
    )


def gated_attention(operator, bag):
    return sum(w * h for w, h in zip(gated_weights(operator, bag), bag, strict=True))


def with_gains():
    operator = AttentionMaximumPooling(E, 7)
    operator.gain.data = torch.tensor([0.3, -0.5, 1.5, 0.0, 0.1])
    return operator


def attention_maximum(operator, bag):
    return oracle.attention_maximum(bag, gated_weights(operator.attention, bag), operator.gain.detach().numpy())


OPERATORS = {
    "max": (MaxPooling, lambda operator, bag: oracle.maximum(bag)),
    "mean": (MeanPooling, lambda operator, bag: oracle.mean(bag)),
    "log_mean_exp": (lambda: LogMeanExpPooling(2.5), lambda operator, bag: oracle.log_mean_exp(bag, 2.5)),
    "attention": (lambda: AttentionPooling(E, 7), attention),
    "gated_attention": (lambda: GatedAttentionPooling(E, 7), gated_attention),
    "attention_maximum": (with_gains, attention_maximum),
    "top_k_mean": (lambda: TopKMeanPooling(4), lambda operator, bag: oracle.top_k_mean(bag, 4)),
    "noisy_or": (NoisyOrPooling, lambda operator, bag: oracle.noisy_or(bag)),
    "noisy_and": (
        lambda: NoisyAndPooling(E, a=7.5, b=0.3),
        lambda operator, bag: oracle.noisy_and(bag, 7.5, operator.thresholds().detach().numpy()),
    ),
}


WEIGHTED = ("mean", "attention", "gated_attention")


def build(name):
    torch.manual_seed(0)
    operator = OPERATORS[name][0]().double()
    operator.oracle = OPERATORS[name][1]
    return operator


@pytest.fixture(params=OPERATORS)
def operator(request):
    return build(request.param)


@pytest.fixture(params=WEIGHTED)
def weighted(request):
    return build(request.param)


@pytest.fixture
def lengths():
    return torch.tensor(SIZES)


@pytest.fixture
def instances():
    return torch.randn(sum(SIZES), E, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def test_equals_the_equation_bag_by_bag(operator, instances, lengths):
    expected = [operator.oracle(operator, bag.numpy()) for bag in instances.split(SIZES)]
    np.testing.assert_allclose(operator(instances, lengths).detach(), np.stack(expected), rtol=1e-9, atol=1e-12)


def test_gradients_equal_finite_differences(operator, instances, lengths):
    few = instances[:12].clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: operator(x, lengths[:3]), (few,))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_bag_gives_the_same_alone_in_a_batch_padded_and_permuted(operator, instances, lengths, dtype):
    operator.to(dtype)
    instances = instances.to(dtype).requires_grad_()
    tolerance = {"rtol": 2e-5, "atol": 2e-6} if dtype == torch.float32 else {"rtol": 1e-11, "atol": 1e-13}
    in_batch = operator(instances, lengths)
    cotangent = torch.randn_like(in_batch)
    (gradient,) = torch.autograd.grad((in_batch * cotangent).sum(), instances)
    for place, bag in enumerate(instances.detach().split(SIZES)):
        gradient_here = gradient.split(SIZES)[place]
        order = torch.randperm(len(bag))
        more = torch.cat([torch.full((2, E), torch.nan, dtype=dtype), bag[order], bag.new_full((3, E), 1e6)])
        mask = torch.tensor([False] * 2 + [True] * len(bag) + [False] * 3)
        ways = {
            "alone": (bag, {"lengths": lengths[place : place + 1]}),
            "permuted": (bag[order], {"lengths": lengths[place : place + 1]}),
            "dense": (bag[None], {}),
            "padded": (more[None], {"mask": mask[None]}),
        }
        for name, (form, arguments) in ways.items():
            form = form.clone().requires_grad_()
            pooled = operator(form, **arguments)
            torch.testing.assert_close(pooled[0], in_batch[place], **tolerance)
            (own,) = torch.autograd.grad((pooled[0] * cotangent[place]).sum(), form)
            if name == "padded":
                assert (own[0][~mask] == 0).all()
                own = own[:, mask]
            expected = gradient_here if name in ("alone", "dense") else gradient_here[order]
            torch.testing.assert_close(own.reshape(-1, E), expected, **tolerance)


def test_padded_batches_equal_ragged_ones(operator, instances, lengths):
    padded, mask = to_padded(instances, lengths)
    padded[~mask] = torch.nan
    torch.testing.assert_close(operator(padded, mask=mask), operator(instances, lengths))


def test_weights_are_a_distribution_over_each_bag_and_belong_to_the_instances(weighted, instances, lengths):
    weights = weighted.instance_weights(instances, lengths)
    assert weights.shape == (sum(SIZES),)
    for bag, own, pooled in zip(
        instances.split(SIZES), weights.split(SIZES), weighted(instances, lengths), strict=True
    ):
        assert own.min() > 0
        torch.testing.assert_close(own.sum(), own.new_tensor(1.0))
        torch.testing.assert_close(own @ bag, pooled)
    padded, mask = to_padded(instances, lengths)
    in_padded = weighted.instance_weights(padded, mask=mask)
    assert in_padded.shape == mask.shape
    assert (in_padded[~mask] == 0).all()
    torch.testing.assert_close(in_padded[mask], weights)
    dense = instances[:4].reshape(2, 2, E)
    torch.testing.assert_close(
        weighted.instance_weights(dense).flatten(), weighted.instance_weights(instances[:4], torch.tensor([2, 2]))
    )


def test_scripted_operator_gives_the_same(operator, instances, lengths):
    plain = copy.deepcopy(operator)
    del plain.oracle
    scripted = torch.jit.script(plain)
    padded, mask = to_padded(instances, lengths)
    torch.testing.assert_close(scripted(instances, lengths), operator(instances, lengths))
    torch.testing.assert_close(scripted(padded, None, mask), operator(padded, mask=mask))
    for name in ("instance_weights", "attention_logits"):
        if hasattr(operator, name):
            torch.testing.assert_close(
                getattr(scripted, name)(instances, lengths), getattr(operator, name)(instances, lengths)
            )


def test_half_precision_comes_back_as_half_precision(operator, instances, lengths):
    expected = operator(instances, lengths)
    result = operator.to(torch.bfloat16)(instances.to(torch.bfloat16), lengths)
    assert result.dtype == torch.bfloat16
    torch.testing.assert_close(result.double(), expected, rtol=0.05, atol=0.1)


def test_refuses_empty_bags_and_forms_that_do_not_fit(operator, instances, lengths):
    with pytest.raises(ValueError, match=r"empty bags, by their places in the batch: \[1\]"):
        operator(instances[:3], torch.tensor([2, 0, 1]))
    padded, mask = to_padded(instances, lengths)
    mask[2] = False
    with pytest.raises(ValueError, match=r"empty bags, by their places in the batch: \[2\]"):
        operator(padded, mask=mask)
    with pytest.raises(ValueError, match="empty bags"):
        operator(padded[:, :0])
    with pytest.raises(ValueError, match="found both"):
        operator(instances, lengths, mask)
    with pytest.raises(ValueError, match="without lengths"):
        operator(instances)
    with pytest.raises(ValueError, match="with lengths"):
        operator(padded, lengths)
    with pytest.raises(ValueError, match="add up to 54"):
        operator(instances[:-1], lengths)
