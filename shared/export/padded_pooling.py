"""Pooling operators on padded batches without a step that depends on the data, as tracing and ONNX need it.

The operators themselves work on ragged batches, of which the number of instances in each bag decides the shapes: that
cannot be traced. Here bags lie side by side, ``(B, N, E)`` with a mask ``(B, N)``, and every shape is one of the input.
"""

from __future__ import annotations

import torch
from torch import nn

from shared.data.errors import DataError
from shared.mil.pooling.attention import AttentionPooling
from shared.mil.pooling.attention_maximum import AttentionMaximumPooling
from shared.mil.pooling.base import Pooling
from shared.mil.pooling.log_mean_exp import LogMeanExpPooling
from shared.mil.pooling.maximum import MaxPooling
from shared.mil.pooling.mean import MeanPooling
from shared.mil.pooling.top_k_mean import TopKMeanPooling

__all__ = ["PaddedPooling", "instancewise", "padded_pooling"]


class PaddedPooling(nn.Module):
    """A pooling operator on padded batches: ``forward(instances (B, N, E), mask (B, N)) -> (B, E)``.

    What stands where there is no instance is not looked at, be it NaN. Every bag needs an instance: an empty one gives
    NaN or infinity. Its formula is that of the operator.

    Args:
        operator: on ragged batches, whose weights are shared.
    """

    def __init__(self, operator: Pooling) -> None:
        super().__init__()
        self.operator = operator

    def forward(self, instances: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return the pooled instances ``(B, E)``."""
        there = mask.unsqueeze(-1)  # (B, N, 1)
        return self.pool(torch.where(there, instances, torch.zeros_like(instances)), there)

    def pool(self, instances: torch.Tensor, there: torch.Tensor) -> torch.Tensor:
        """Pool instances ``(B, N, E)``, zeros where ``there`` ``(B, N, 1)`` is false."""
        raise NotImplementedError


class _Mean(PaddedPooling):
    def pool(self, instances: torch.Tensor, there: torch.Tensor) -> torch.Tensor:
        return _mean(instances, there)


class _Maximum(PaddedPooling):
    def pool(self, instances: torch.Tensor, there: torch.Tensor) -> torch.Tensor:
        return _maximum(instances, there)


class _LogMeanExp(PaddedPooling):
    operator: LogMeanExpPooling

    def pool(self, instances: torch.Tensor, there: torch.Tensor) -> torch.Tensor:
        greatest = _maximum(instances, there)  # (B, E)
        scaled = self.operator.r * (instances - greatest.unsqueeze(1))
        scaled = torch.where(there, scaled, torch.zeros_like(scaled))
        minus_one = _mean(torch.expm1(scaled), there)
        near = minus_one > -0.5
        logarithm = torch.where(
            near,
            torch.log1p(torch.where(near, minus_one, torch.zeros_like(minus_one))),
            torch.log(_mean(torch.where(there, torch.exp(scaled), torch.zeros_like(scaled)), there)),
        )
        return greatest + logarithm / self.operator.r


class _TopKMean(PaddedPooling):
    operator: TopKMeanPooling

    def pool(self, instances: torch.Tensor, there: torch.Tensor) -> torch.Tensor:
        lowest = torch.full_like(instances, -float("inf"))
        ordered = torch.sort(torch.where(there, instances, lowest), dim=1, descending=True).values
        place = torch.arange(instances.shape[1], device=instances.device).view(1, -1, 1)
        number = there.sum(dim=1, keepdim=True).clamp(max=self.operator.k)  # (B, 1, 1)
        kept = torch.where(place < number, ordered, torch.zeros_like(ordered))
        return kept.sum(dim=1) / number.squeeze(1).to(kept.dtype)


class _Attention(PaddedPooling):
    operator: AttentionPooling

    def pool(self, instances: torch.Tensor, there: torch.Tensor) -> torch.Tensor:
        return _attended(self.operator, instances, there)


class _AttentionMaximum(PaddedPooling):
    operator: AttentionMaximumPooling

    def pool(self, instances: torch.Tensor, there: torch.Tensor) -> torch.Tensor:
        mean = _attended(self.operator.attention, instances, there)
        return self.operator.combine(mean, _maximum(instances, there))


FORMS: tuple[tuple[type[Pooling], type[PaddedPooling]], ...] = (
    (MeanPooling, _Mean),
    (MaxPooling, _Maximum),
    (LogMeanExpPooling, _LogMeanExp),
    (TopKMeanPooling, _TopKMean),
    (AttentionPooling, _Attention),  # gated attention is one
    (AttentionMaximumPooling, _AttentionMaximum),
)


def padded_pooling(operator: Pooling) -> PaddedPooling:
    """Return the padded form of an operator.

    Raises:
        DataError: if the operator has none.
    """
    for ragged, padded in FORMS:
        if isinstance(operator, ragged):
            return padded(operator)
    known = ", ".join(ragged.__name__ for ragged, _ in FORMS)
    raise DataError(
        f"pooling: {type(operator).__name__} cannot be exported to ONNX, only {known}; export it as torchscript, or "
        "give it a form in shared/export/padded_pooling.py"
    )


def instancewise(module: nn.Module, instances: torch.Tensor) -> torch.Tensor:
    """Apply to padded instances ``(B, N, …)`` a module that maps ``(T, …)`` to ``(T, E)``; returns ``(B, N, E)``.

    Padding is computed as well: there is no shape without it.
    """
    values = module(instances.flatten(0, 1))
    return values.reshape(instances.shape[0], instances.shape[1], values.shape[-1])


def _mean(instances: torch.Tensor, there: torch.Tensor) -> torch.Tensor:
    return instances.sum(dim=1) / there.sum(dim=1).to(instances.dtype)


def _maximum(instances: torch.Tensor, there: torch.Tensor) -> torch.Tensor:
    return torch.where(there, instances, torch.full_like(instances, -float("inf"))).amax(dim=1)


def _attended(operator: AttentionPooling, instances: torch.Tensor, there: torch.Tensor) -> torch.Tensor:
    flat = operator.logits(instances.flatten(0, 1)).reshape(instances.shape[0], instances.shape[1], 1)
    weights = torch.softmax(torch.where(there, flat, torch.full_like(flat, -float("inf"))), dim=1)  # (B, N, 1)
    return (weights * instances).sum(dim=1)
