import pytest
import torch

from shared.mil.pooling.maximum import MaxPooling
from shared.mil.pooling.mean import MeanPooling
from shared.mil.pooling.top_k_mean import TopKMeanPooling

LENGTHS = torch.tensor([1, 4, 9])


@pytest.fixture
def instances():
    return torch.randn(14, 3, generator=torch.Generator().manual_seed(0))


def test_one_is_the_maximum_and_many_are_the_mean(instances):
    torch.testing.assert_close(TopKMeanPooling(1)(instances, LENGTHS), MaxPooling()(instances, LENGTHS))
    torch.testing.assert_close(TopKMeanPooling(100)(instances, LENGTHS), MeanPooling()(instances, LENGTHS))


def test_a_bag_with_fewer_instances_is_averaged_whole(instances):
    pooled = TopKMeanPooling(5)(instances, LENGTHS)
    torch.testing.assert_close(pooled[:2], torch.stack([instances[0], instances[1:5].mean(0)]))
    torch.testing.assert_close(pooled[2], instances[5:].sort(0, descending=True).values[:5].mean(0))


def test_refuses_to_take_none():
    with pytest.raises(ValueError, match="k must be at least 1"):
        TopKMeanPooling(0)
