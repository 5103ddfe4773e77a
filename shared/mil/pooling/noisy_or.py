"""Noisy-or pooling."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from shared.mil.pooling.base import Pooling
from shared.mil.pooling.log_space import log_one_minus_exp, log_softplus
from shared.mil.ragged import at_least_single, segment_logsumexp, segment_sum

__all__ = ["NoisyOrPooling"]


class NoisyOrPooling(Pooling):
    """Logit of the probability that at least one instance is positive: ``P_k = 1 − Π_i (1 − p_ik)``.

    Source: Maron and Lozano-Pérez 1998; Keeler, Rumelhart and Leow 1991 pool the odds in a similar way,
    ``P = S / (1 + S)`` with ``S = Σ_i p_i / (1 − p_i)``. The input is logits, ``p = σ(h)``, and so is the output. With
    ``s = −log Π (1 − p_i) = Σ_i log(1 + exp h_i)`` it is ``log P − log(1 − P) = s + log(1 − e⁻ˢ)``, computed from
    ``log s``, so that neither bags of sure instances nor bags of very improbable ones lose their gradient.

    Another instance never lowers the output: at instance level a bag cannot become negative by what is in it. The
    output grows with the size of the bag.
    """

    def pool(self, instances: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """Pool a ragged batch of logits: ``(T, E)`` and ``(B,)`` give logits ``(B, E)``."""
        exact = at_least_single(instances)
        total = segment_sum(-F.logsigmoid(-exact), lengths)  # s
        log_total = segment_logsumexp(log_softplus(exact), lengths)
        return (total + log_one_minus_exp(log_total)).to(instances.dtype)
