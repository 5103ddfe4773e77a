"""Pooling side by side: equal to the ragged operators, whatever padding holds."""

from __future__ import annotations

import pytest
import torch

from shared.data.errors import DataError
from shared.export.padded_pooling import instancewise, padded_pooling
from shared.mil.pooling.attention import AttentionPooling
from shared.mil.pooling.attention_maximum import AttentionMaximumPooling
from shared.mil.pooling.gated_attention import GatedAttentionPooling
from shared.mil.pooling.log_mean_exp import LogMeanExpPooling
from shared.mil.pooling.maximum import MaxPooling
from shared.mil.pooling.mean import MeanPooling
from shared.mil.pooling.noisy_or import NoisyOrPooling
from shared.mil.pooling.top_k_mean import TopKMeanPooling

OPERATORS = {
    "mean": MeanPooling(),
    "maximum": MaxPooling(),
    "log_mean_exp": LogMeanExpPooling(2.5),
    "sharp_log_mean_exp": LogMeanExpPooling(300.0),
    "top_k_mean": TopKMeanPooling(3),
    "attention": AttentionPooling(6, 4),
    "gated_attention": GatedAttentionPooling(6, 4),
    "attention_maximum": AttentionMaximumPooling(6, 4, gain=0.7),
}


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize("padding", [0.0, 1e9, float("nan")])
def test_equal_to_the_ragged_operator(name, padding):
    operator = OPERATORS[name].double()
    torch.manual_seed(0)
    lengths = torch.tensor([1, 5, 2, 9])
    instances = 3 * torch.randn(int(lengths.sum()), 6, dtype=torch.float64) - 5
    mask = torch.stack([torch.randperm(9) < length for length in lengths])  # instances at any place
    padded = torch.full((4, 9, 6), padding, dtype=torch.float64)
    padded[mask] = instances
    torch.testing.assert_close(padded_pooling(operator)(padded, mask), operator(instances, lengths))


def test_an_operator_without_such_a_form_is_named():
    with pytest.raises(DataError, match=r"NoisyOrPooling cannot be exported to ONNX, only MeanPooling, .*torchscript"):
        padded_pooling(NoisyOrPooling())


def test_instances_are_treated_one_by_one():
    layer = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(8, 3))
    images = torch.randn(2, 5, 2, 4)
    expected = torch.stack([torch.stack([layer(one[None])[0] for one in bag]) for bag in images])
    torch.testing.assert_close(instancewise(layer, images), expected)
