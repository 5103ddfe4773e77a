"""Noisy-and pooling."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional as F

from shared.mil.pooling.base import Pooling
from shared.mil.pooling.log_space import log_one_minus_exp
from shared.mil.ragged import at_least_single, segment_logsumexp

__all__ = ["NoisyAndPooling"]


class NoisyAndPooling(Pooling):
    """Logit of the probability that the share of positive instances exceeds a learned threshold (Kraus et al. 2016).

    ``P_j = [σ(a(p̄_j − b_j)) − σ(−a b_j)] / [σ(a(1 − b_j)) − σ(−a b_j)]`` with ``p̄_j = 1/n Σ_i p_ij``. The slope ``a``
    is fixed, the thresholds ``b_j`` in (0, 1) are learned, one for each dimension; ``P`` goes from 0 at ``p̄ = 0`` to 1
    at ``p̄ = 1``. The input is logits, ``p = σ(h)``, and so is the output. Since
    ``σ(x) − σ(y) = σ(x) σ(−y) (1 − e^{y−x})``, with ``q̄ = 1 − p̄ = 1/n Σ_i σ(−h_i)``,

    ``log P − log(1 − P) = a(p̄ − b) + log σ(ab) − log σ(a(1 − b)) + log(1 − e^{−a p̄}) − log(1 − e^{−a q̄})``,

    where the last two terms are computed from ``log p̄`` and ``log q̄``: all instances sure is no limit.

    Args:
        dimensions: number of thresholds: dimensions of the input.
        a: slope; the paper's networks use 10.
        b: thresholds before training, in (0, 1). They are kept as logits ``threshold_logits``, so that no step of an
            optimiser leads out of the range.

    Raises:
        ValueError: if ``a`` is not positive, or ``b`` not within (0, 1).
    """

    def __init__(self, dimensions: int = 1, a: float = 10.0, b: float = 0.5) -> None:
        super().__init__()
        if not 0 < a < float("inf"):
            raise ValueError(f"the slope a must be positive and finite, found {a}")
        if not 0 < b < 1:
            raise ValueError(f"the threshold b must be between 0 and 1, found {b}")
        self.a = float(a)
        self.threshold_logits = nn.Parameter(torch.full([dimensions], math.log(b / (1 - b))))

    @torch.jit.export
    def thresholds(self) -> torch.Tensor:
        """Return the thresholds ``b``, ``(E,)``: shares of positive instances."""
        return torch.sigmoid(self.threshold_logits)

    def pool(self, instances: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """Pool a ragged batch of logits: ``(T, E)`` and ``(B,)`` give logits ``(B, E)``."""
        exact = at_least_single(instances)
        log_count = torch.log(lengths.to(exact.dtype)).unsqueeze(1)
        log_positive = segment_logsumexp(F.logsigmoid(exact), lengths) - log_count  # log p̄
        log_negative = segment_logsumexp(F.logsigmoid(-exact), lengths) - log_count  # log q̄
        b = self.thresholds().to(exact.dtype)
        log_a = math.log(self.a)
        logit = (
            self.a * (torch.exp(log_positive) - b)
            + F.logsigmoid(self.a * b)
            - F.logsigmoid(self.a * (1 - b))
            + log_one_minus_exp(log_a + log_positive)
            - log_one_minus_exp(log_a + log_negative)
        )
        return logit.to(instances.dtype)

    def extra_repr(self) -> str:
        """Return what ``print`` shows."""
        return f"dimensions={self.threshold_logits.numel()}, a={self.a:g}"
