import pytest
import torch

from shared.mil.pooling.attention import AttentionPooling
from shared.mil.pooling.gated_attention import GatedAttentionPooling
from shared.mil.ragged import to_padded

LENGTHS = torch.tensor([2, 4])


def test_the_logits_are_those_of_the_weights_and_padding_has_none():
    for pooling in (AttentionPooling(3, 6), GatedAttentionPooling(3, 6)):
        instances = torch.randn(6, 3)
        logits = pooling.attention_logits(instances, LENGTHS)
        expected = torch.cat([part.softmax(0) for part in logits.split([2, 4])])
        torch.testing.assert_close(pooling.instance_weights(instances, LENGTHS), expected)
        padded, mask = to_padded(instances, LENGTHS)
        in_padded = pooling.attention_logits(padded, mask=mask)
        assert (in_padded[~mask] == -torch.inf).all()
        torch.testing.assert_close(in_padded.softmax(1), pooling.instance_weights(padded, mask=mask))


def test_logits_that_spread_over_hundreds_leave_finite_weights_and_gradients():
    pooling = AttentionPooling(1, 1)
    with torch.no_grad():
        pooling.hidden[0].weight.fill_(1.0)
        pooling.hidden[0].bias.zero_()
        pooling.score.weight.fill_(400.0)
    instances = torch.tensor([[-3.0], [0.5], [3.0]], requires_grad=True)
    weights = pooling.instance_weights(instances, torch.tensor([3]))
    assert weights.tolist() == [0.0, 0.0, 1.0]
    pooling(instances, torch.tensor([3])).sum().backward()
    assert instances.grad.isfinite().all()
    assert instances.grad[2] > 0


def test_half_precision_holds_the_weights_of_100000_instances():
    pooling = AttentionPooling(2, 4).to(torch.float16)
    instances = torch.ones(100_000, 2, dtype=torch.float16)
    lengths = torch.tensor([100_000])
    weights = pooling.instance_weights(instances, lengths)
    torch.testing.assert_close(weights, torch.full((100_000,), 1e-5))
    assert pooling(instances, lengths).tolist() == [[1.0, 1.0]]


def test_the_gate_multiplies_the_hidden_units():
    pooling = GatedAttentionPooling(3, 6)
    instances = torch.randn(6, 3)
    with torch.no_grad():
        pooling.gate[0].weight.zero_()
        pooling.gate[0].bias.fill_(40.0)
    open_gate = pooling.attention_logits(instances, LENGTHS)
    torch.testing.assert_close(open_gate, pooling.score(pooling.hidden(instances))[:, 0])
    with torch.no_grad():
        pooling.gate[0].bias.fill_(-40.0)
    torch.testing.assert_close(pooling.attention_logits(instances, LENGTHS), torch.zeros(6))


@pytest.mark.parametrize("operator", [AttentionPooling, GatedAttentionPooling])
def test_autocast_does_not_round_the_logits(operator):
    torch.manual_seed(0)
    pooling, instances = operator(64, 16), torch.randn(6, 64)
    expected = pooling.attention_logits(instances, LENGTHS)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = pooling.attention_logits(instances, LENGTHS)
        weights = pooling.instance_weights(instances, LENGTHS)
        assert pooling.hidden(instances).dtype == torch.bfloat16, "autocast is on, and gives other logits"
    assert found.dtype == torch.float32
    assert torch.equal(found, expected)
    assert torch.equal(weights, pooling.instance_weights(instances, LENGTHS))
