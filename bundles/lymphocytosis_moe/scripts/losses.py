"""The negative log-likelihoods of mixture and experts, and their weighted sum that is trained."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn
from torch.nn import functional as F

__all__ = ["BagLoss"]


class BagLoss(nn.Module):
    """``joint · L(logit) + experts · (L(logit_CNN) + L(logit_MLP))`` with the negative log-likelihood L.

    L is the binary cross-entropy of a logit. Of one expert's logit it is equation 10 or 13 of Sahasrabudhe et al.
    2020; of the mixture's it is equation 18, since that logit's sigmoid is the mixture's probability. With ``joint`` 0
    and ``experts`` 1 each expert is trained by its own loss, which is how the average (equation 14) is trained.

    Args:
        joint: weight of the network's own logit.
        experts: weight of each expert's logit; must be 0 for a network without two experts.
        tumoral_weight: weight of tumoral patients against reactive ones.
    """

    def __init__(self, joint: float = 1.0, experts: float = 0.0, tumoral_weight: float = 1.0) -> None:
        super().__init__()
        if min(joint, experts) < 0 or joint + experts == 0 or tumoral_weight <= 0:
            raise ValueError(
                "joint and experts must not be negative and not both zero, tumoral_weight must be above zero; found "
                f"{joint}, {experts}, {tumoral_weight}"
            )
        self.joint = joint
        self.experts = experts
        self.tumoral_weight = tumoral_weight

    def forward(self, outputs: Mapping[str, torch.Tensor], labels: torch.Tensor) -> torch.Tensor:
        """Return the mean loss over the batch.

        Args:
            outputs: a network's ``outputs``: ``logits`` ``(B, 1)`` and, with two experts, ``expert_logits`` ``(B, 2)``.
            labels: 0 (reactive) or 1 (tumoral), ``(B,)``.
        """
        loss = torch.zeros((), device=labels.device)
        if self.joint:
            loss = loss + self.joint * self.negative_log_likelihood(outputs["logits"][:, 0], labels)
        if self.experts:
            for logits in outputs["expert_logits"].unbind(dim=1):
                loss = loss + self.experts * self.negative_log_likelihood(logits, labels)
        return loss

    def negative_log_likelihood(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Return the mean negative log-likelihood of labels ``(B,)`` under logits ``(B,)``, in nats."""
        weight = torch.tensor(self.tumoral_weight, device=logits.device)
        return F.binary_cross_entropy_with_logits(logits, labels.to(logits.dtype), pos_weight=weight)
