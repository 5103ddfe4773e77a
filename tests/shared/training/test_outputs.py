"""The validation loss is the negative log-likelihood of the probabilities that the validation keeps."""

from __future__ import annotations

import pytest
import torch

from shared.training.outputs import negative_log_likelihood, stack_from_engine


def test_it_is_the_cross_entropy_of_the_logits():
    logits = torch.randn(9, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    labels = torch.arange(9) % 4
    expected = torch.nn.functional.cross_entropy(logits, labels)
    torch.testing.assert_close(negative_log_likelihood(logits.softmax(1), labels), expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_probability_of_zero_costs_much_but_not_everything(dtype):
    probabilities = torch.tensor([[1.0, 0.0], [1.0, 0.0]], dtype=dtype)
    loss = negative_log_likelihood(probabilities, torch.tensor([0, 1]))
    torch.testing.assert_close(loss, -torch.tensor(torch.finfo(dtype).tiny, dtype=dtype).log() / 2)
    assert torch.isfinite(loss)


def test_it_takes_what_the_engine_gives():
    samples = [{"pred": torch.tensor([0.2, 0.8]), "label": label} for label in (0, 1, 1)]
    probabilities, labels = stack_from_engine("pred", "label")(samples)
    expected = -torch.tensor([0.2, 0.8, 0.8]).log().mean()
    torch.testing.assert_close(negative_log_likelihood(probabilities, labels), expected)
    torch.testing.assert_close(negative_log_likelihood(probabilities, labels.int()), expected)
