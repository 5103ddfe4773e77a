"""From MONAI's list of samples to the batch that ignite's metrics and losses expect."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from monai.handlers import from_engine

__all__ = ["negative_log_likelihood", "stack_from_engine"]


def stack_from_engine(*keys: str) -> Callable[[Sequence[dict[str, Any]]], tuple[torch.Tensor, ...]]:
    """Return an ``output_transform`` that stacks the samples' values of each key.

    Args:
        keys: keys of the decollated output, for instance ``"pred"`` and ``"label"``.

    Returns:
        A function from a list of B samples to one tensor ``(B, …)`` for each key.

    Example:
        >>> transform = stack_from_engine("pred", "label")
        >>> samples = [{"pred": torch.tensor([0.2, 0.8]), "label": torch.tensor(1)}] * 3
        >>> [tuple(tensor.shape) for tensor in transform(samples)]
        [(3, 2), (3,)]
    """
    take = from_engine(list(keys))

    def transform(output: Sequence[dict[str, Any]]) -> tuple[torch.Tensor, ...]:
        columns = take(output)
        return tuple(torch.stack([torch.as_tensor(value) for value in column]) for column in columns)

    return transform


def negative_log_likelihood(probabilities: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return the mean of ``-log p[label]`` for probabilities ``(B, K)`` and labels ``(B,)``, in nats.

    The validation keeps probabilities, not logits, in its output; a probability of zero counts as the smallest normal
    number of its type.
    """
    chosen = probabilities.gather(1, labels.long()[:, None])[:, 0]
    return -chosen.clamp_min(torch.finfo(probabilities.dtype).tiny).log().mean()
