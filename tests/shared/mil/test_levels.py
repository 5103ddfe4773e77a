import pytest
import torch
from torch import nn

from shared.mil.levels import EmbeddingLevel, InstanceLevel
from shared.mil.pooling.attention import AttentionPooling
from shared.mil.pooling.maximum import MaxPooling
from shared.mil.pooling.mean import MeanPooling
from shared.mil.pooling.noisy_or import NoisyOrPooling
from shared.mil.ragged import to_padded

SIZES = [3, 1, 6]
LENGTHS = torch.tensor(SIZES)


@pytest.fixture
def embeddings():
    return torch.randn(10, 4, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def head():
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 2))


def test_embedding_level_pools_first_and_instance_level_last(embeddings, head):
    bags = embeddings.split(SIZES)
    expected = torch.stack([head(bag.max(0).values) for bag in bags])
    torch.testing.assert_close(EmbeddingLevel(MaxPooling(), head)(embeddings, LENGTHS), expected)
    other = torch.stack([head(bag).max(0).values for bag in bags])
    torch.testing.assert_close(InstanceLevel(head, MaxPooling())(embeddings, LENGTHS), other)
    assert (expected - other).abs().max() > 0.01


def test_a_linear_head_may_stand_before_or_after_the_mean(embeddings):
    head = nn.Linear(4, 2)
    torch.testing.assert_close(
        EmbeddingLevel(MeanPooling(), head)(embeddings, LENGTHS),
        InstanceLevel(head, MeanPooling())(embeddings, LENGTHS),
    )


@pytest.mark.parametrize("level", ["embedding", "instance"])
def test_padded_and_ragged_batches_give_the_same_and_can_be_scripted(embeddings, head, level):
    classifier = (
        EmbeddingLevel(AttentionPooling(4), head) if level == "embedding" else InstanceLevel(head, MaxPooling())
    )
    padded, mask = to_padded(embeddings, LENGTHS)
    padded[~mask] = torch.nan
    expected = classifier(embeddings, LENGTHS)
    torch.testing.assert_close(classifier(padded, mask=mask), expected)
    scripted = torch.jit.script(classifier)
    torch.testing.assert_close(scripted(embeddings, LENGTHS), expected)
    torch.testing.assert_close(scripted(padded, None, mask), expected)
    dense = embeddings[:6].reshape(2, 3, 4)
    torch.testing.assert_close(scripted(dense), classifier(embeddings[:6], torch.tensor([3, 3])))


def test_the_head_of_the_instance_level_never_sees_padding(embeddings):
    seen = []
    head = nn.Linear(4, 1)
    head.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    padded, mask = to_padded(embeddings, LENGTHS)
    InstanceLevel(head, NoisyOrPooling())(padded, mask=mask)
    assert [len(batch) for batch in seen] == [10]
    torch.testing.assert_close(seen[0], embeddings)


def test_instance_logits_stand_with_their_instances(embeddings, head):
    classifier = InstanceLevel(head, MaxPooling())
    logits = classifier.instance_logits(embeddings, LENGTHS)
    torch.testing.assert_close(logits, head(embeddings))
    padded, mask = to_padded(embeddings, LENGTHS)
    in_padded = classifier.instance_logits(padded, mask=mask)
    assert in_padded.shape == (3, 6, 2)
    torch.testing.assert_close(in_padded[mask], logits)
    assert in_padded[~mask].isnan().all()


def test_instance_weights_are_those_of_the_pooling_or_refused_by_name(embeddings, head):
    attention = AttentionPooling(4)
    torch.testing.assert_close(
        EmbeddingLevel(attention, head).instance_weights(embeddings, LENGTHS),
        attention.instance_weights(embeddings, LENGTHS),
    )
    with pytest.raises(TypeError, match="MaxPooling has no weight for each instance"):
        EmbeddingLevel(MaxPooling(), head).instance_weights(embeddings, LENGTHS)
